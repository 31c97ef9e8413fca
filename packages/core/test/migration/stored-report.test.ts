import { expect, it } from 'vitest'
import { type Difference, encodeBytes, type VerifyReport } from '../../dist/index.js'
import { migrationDetails, type StoredReport, storedReport } from '../../dist/migration/stored-report.js'
import { bytes } from '../doubles.js'

const difference = (key: string): Difference => ({
  ...{ kind: 'value', db: 0, key, keyBase64: '', detail: 'the string differs', partCount: 1 },
  parts: [{ part: 'value', name: null, source: encodeBytes(bytes('contents')), target: null }],
})
const verification: VerifyReport = {
  ...{ compared: 200, matching: 0, mismatched: 200, missingSource: 0, missingTarget: 0, equal: false, complete: true },
  ...{ leftOut: 0, foreign: 0, nothing: false, at: 1 },
  differences: Array.from({ length: 200 }, (_, i) => difference(`k${i}`)),
}
const report: StoredReport = {
  passed: { count: 1, examples: ['a'] },
  notCarried: [{ what: 'a module', count: 2, examples: ['m'] }],
  failures: Array.from({ length: 200 }, (_, i) => ({ db: 0, key: `k${i}`, reason: 'no' })),
  verification,
  changesSinceVerification: 3,
  cutover: { dryRun: false, downtimeMs: 7, fence: 'acl', verification, slipped: { keys: ['s'], more: false } },
  rollback: null,
}
const kept = (): StoredReport => migrationDetails({ plan: null, report: storedReport(report) }).report!

it('what is kept of a report comes back as it was, as far as it is kept', () => {
  const { passed, notCarried, changesSinceVerification, rollback } = report
  expect(kept()).toMatchObject({ passed, notCarried, changesSinceVerification, rollback })
  expect(kept().cutover).toMatchObject({ downtimeMs: 7, fence: 'acl', slipped: { keys: ['s'], more: false } })
  expect([kept().failures.length, kept().verification?.differences.length]).toEqual([100, 100])
  expect(kept().verification).toMatchObject({ compared: 200, mismatched: 200 })
})

it('of values nothing is kept', () => {
  expect(storedReport(report)).not.toMatch(/contents|Y29udGVudHM/)
  expect(kept().cutover?.verification?.differences[0]).toEqual({
    ...{ kind: 'value', db: 0, key: 'k0', keyBase64: '', detail: 'the string differs' },
  })
})

it('a run that has written none has none', () => {
  expect(migrationDetails({ plan: null, report: null })).toEqual({ plan: null, report: null })
})
