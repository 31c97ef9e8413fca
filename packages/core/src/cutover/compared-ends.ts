import { counted, MigrateError } from '@ferrite-migrate/contracts'
import type { ChangeTrack } from '../engine/changes/change-track.js'
import type { VerifyReport } from '../verify/verify-report.js'

/** Differences that a report names. */
const REPORTED = 1000
/** Differences that an error names. */
const NAMED = 3

/** What a comparison before the fence is worth: keys that are being written are looked at again behind it. */
export function settledReport(report: VerifyReport, track: Pick<ChangeTrack, 'has' | 'overflow'>): VerifyReport {
  const settled = track.overflow
    ? []
    : report.differences.filter((one) => !track.has(one.db, Buffer.from(one.keyBase64, 'base64')))
  const found = report.mismatched + report.missingSource + report.missingTarget
  return {
    ...report,
    differences: settled.slice(0, REPORTED),
    // What was counted and not named may be anything.
    equal: report.complete && !report.nothing && settled.length === 0 && found <= report.differences.length,
  }
}

/** A comparison before the fence in words. */
export function settledText(report: VerifyReport, settled: VerifyReport): string {
  const changing = report.equal ? 'equal' : `equal but for ${report.differences.length} that are changing`
  const verdict = settled.differences.length > 0 ? 'different' : changing
  return `${counted(report.compared, 'key')} compared before the fence: ${verdict}`
}

/**
 * What the last look behind the fence found, in words; nothing to compare is no equality.
 * @param whole everything was looked at
 * @param verified everything was compared before
 */
export function lookedText({ compared, equal }: VerifyReport, whole: boolean, verified: boolean): string {
  const verdict = equal ? 'equal' : 'different'
  if (whole) return `${counted(compared, 'key')} compared: ${verdict}`
  if (compared === 0)
    return verified
      ? 'no key changed since the comparison'
      : 'no key changed since the cutover began: nothing was left to compare (--verify compares everything)'
  if (verified) return `${counted(compared, 'key')} that changed meanwhile compared: ${verdict}`
  return compared === 1
    ? `the last key compared: ${verdict}`
    : `the last ${counted(compared, 'key')} compared: ${verdict}`
}

/** @throws MigrateError FM_VERIFY_DIFFERENCES when the two ends are not equal */
export function refuseDifferences(report: VerifyReport): void {
  if (report.equal) return
  if (report.nothing)
    throw new MigrateError(
      'FM_VERIFY_DIFFERENCES',
      'no key was compared, although the source has some',
      'Look at the filter and the databases, or cut over without --verify.',
    )
  const some = report.differences.slice(0, NAMED).map((one) => `${one.key} (${one.detail})`)
  throw new MigrateError(
    'FM_VERIFY_DIFFERENCES',
    `${counted(report.differences.length, 'key differs', 'keys differ')}: ${some.join(', ')}`,
    'The migration goes on and may mend them; look at them with ferrite-migrate compare.',
  )
}
