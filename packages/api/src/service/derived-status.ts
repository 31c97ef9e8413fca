import type { MigrationStatus, VerifyReport } from '@ferrite-migrate/core'
import type { ApiStatus, ApiVerifyReport } from '../protocol/results.js'

/** The status with what every client would work out of it. */
export function derivedStatus(status: MigrationStatus): ApiStatus {
  return {
    ...status,
    progress: progressOf(status),
    lag: status.lagKeys,
    complete: status.state !== 'RUNNING' || (status.phase === 'LIVE_SYNC' && status.inSync),
  }
}

/** Of the first copy; a source that tells neither keys nor bytes has none. */
function progressOf({ state, phase, keysDone, keysTotal, bytesDone, bytesTotal }: MigrationStatus): number | null {
  if (state === 'COMPLETED' || phase === 'LIVE_SYNC' || phase === 'CUTOVER' || phase === 'WAITING') return 100
  const share =
    keysTotal !== null && keysTotal > 0
      ? keysDone / keysTotal
      : bytesTotal !== null && bytesTotal > 0
        ? bytesDone / bytesTotal
        : null
  // What is not over yet is never said to be whole; totals are as the source told them at the beginning.
  return share === null ? null : Math.min(state === 'RUNNING' ? 99.9 : 100, Math.floor(share * 1000) / 10)
}

/** The report with its outcome in a word. */
export function derivedReport(report: VerifyReport): ApiVerifyReport {
  const status = !report.complete ? 'incomplete' : report.equal ? 'passed' : 'differences'
  return { ...report, status, success: status === 'passed' }
}
