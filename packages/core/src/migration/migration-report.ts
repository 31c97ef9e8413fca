import type { CutoverResult } from '../cutover/cutover.js'
import type { Plan } from '../ends/plan.js'
import type { RollbackReport } from '../rollback/rollback.js'
import type { MigrationStatus } from '../state/status.js'
import type { VerifyReport } from '../verify/verify-report.js'
import type { LiveCutover } from './live-cutover.js'
import type { RunComparison } from './run-comparison.js'
import type { RunEnds } from './run-ends.js'
import type { RunFailure } from './run-failure.js'
import type { RunStatus } from './run-status.js'

/** What a finished run leaves; printed at its end and stable under --json. */
export interface MigrationReport {
  readonly status: MigrationStatus
  readonly plan: Plan
  /** Values that no rule could change and that went on as they were (`--on-transform-error pass`). */
  readonly passed: { readonly count: number; readonly examples: readonly string[] }
  /** Where each such value, and each that was left out, is told; null = there was none. */
  readonly errorsFile: string | null
  /** `rollback` can put the target back. */
  readonly undoable: boolean
  readonly notCarried: readonly {
    readonly what: string
    readonly count: number
    readonly examples: readonly string[]
  }[]
  readonly failures: readonly { readonly db: number; readonly key: string; readonly reason: string }[]
  readonly verification: VerifyReport | null
  /** Changes that were applied after it; null = there was none. */
  readonly changesSinceVerification: number | null
  readonly cutover: CutoverResult | null
  readonly rollback: RollbackReport | null
  readonly notes: readonly { readonly type: string; readonly text: string }[]
}

/** What a report is made of. */
export interface Reported {
  readonly status: RunStatus
  readonly ends: RunEnds
  readonly comparison: RunComparison
  readonly live: LiveCutover
  readonly failure: RunFailure
}

/** The report of a run as it is now. */
export function migrationReport(run: Reported, undoable: boolean): MigrationReport {
  const { status, ends, comparison } = run
  const { progress } = status
  return {
    status: status.now(),
    plan: status.plan!,
    passed: { count: progress.passed, examples: progress.passedExamples },
    errorsFile: ends.faults.opened ? ends.config.errorsFile : null,
    undoable,
    notCarried: [...progress.notCarried].map(([what, entry]) => ({ what, ...entry })),
    failures: progress.failures,
    verification: comparison.result,
    changesSinceVerification: comparison.changesSince,
    cutover: run.live.result,
    rollback: run.failure.rollback,
    notes: status.notes,
  }
}
