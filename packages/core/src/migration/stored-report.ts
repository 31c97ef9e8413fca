import type { Plan } from '../ends/plan.js'
import type { StoredDetails } from '../state/run-facts.js'
import type { VerifyReport } from '../verify/verify-report.js'
import type { MigrationReport } from './migration-report.js'

/** What is kept of a report beside the status: written at the end, and now and then while a run goes on. */
export type StoredReport = Pick<
  MigrationReport,
  'passed' | 'notCarried' | 'failures' | 'verification' | 'changesSinceVerification' | 'cutover' | 'rollback'
>

/** What a page about a migration tells beside its row. */
export interface MigrationDetails {
  readonly plan: Plan | null
  /** Null = none was written yet. */
  readonly report: StoredReport | null
}

/** Failures and differences that are kept; all are counted. */
const KEPT = 100

/** The report in as much as is kept, as JSON. */
export function storedReport(report: StoredReport): string {
  const { passed, notCarried, failures, verification, changesSinceVerification, cutover, rollback } = report
  // Of values nothing is kept: a state directory holds names, never contents.
  const fewer = (of: VerifyReport): VerifyReport => ({
    ...of,
    differences: of.differences.slice(0, KEPT).map(({ parts: _, partCount: __, ...difference }) => difference),
  })
  const kept: StoredReport = {
    passed,
    notCarried,
    failures: failures.slice(0, KEPT),
    verification: verification && fewer(verification),
    changesSinceVerification,
    cutover: cutover && { ...cutover, verification: cutover.verification && fewer(cutover.verification) },
    rollback,
  }
  return JSON.stringify(kept)
}

/** What is stored of a migration beside its row. */
export function migrationDetails({ plan, report }: StoredDetails): MigrationDetails {
  return {
    plan: plan === null ? null : (JSON.parse(plan) as Plan),
    report: report === null ? null : (JSON.parse(report) as StoredReport),
  }
}
