import type { MigrationStatus } from '@ferrite-migrate/core'
import { bar, formatBytes, formatCount, formatDuration, THIN } from './format.js'

function share(status: MigrationStatus): number | null {
  if (status.phase === 'LIVE_SYNC' || status.phase === 'VERIFYING' || status.phase === 'COMPLETED') return 1
  if (status.keysTotal !== null && status.keysTotal > 0) return Math.min(1, status.keysDone / status.keysTotal)
  if (status.bytesTotal !== null && status.bytesTotal > 0) return Math.min(1, status.bytesDone / status.bytesTotal)
  return status.keysTotal === 0 ? 1 : null
}

function of(done: number, total: number | null, format: (value: number) => string): string {
  return total === null ? format(done) : `${format(done)} / ${format(Math.max(total, done))}`
}

/** What is under way all the time while somebody writes is no lag that a person waits for. */
const IN_SYNC_KEYS = 100
const IN_SYNC_MS = 1000

/** Lag with its units: keys first, then bytes and time where they are known. */
export function lagText(status: MigrationStatus): string {
  if (status.lagKeys === null && status.lagBytes === null) return 'unknown'
  const details = [
    ...(status.lagBytes ? [formatBytes(status.lagBytes)] : []),
    ...(status.lagMs ? [formatDuration(status.lagMs)] : []),
    ...(status.spoolBytes > 1 << 20 ? [`${formatBytes(status.spoolBytes)} spooled`] : []),
  ]
  return `${formatCount(status.lagKeys ?? 0)} keys${details.length > 0 ? ` (${details.join(', ')})` : ''}`
}

export function etaText(status: MigrationStatus): string {
  if (status.state !== 'RUNNING') return '-'
  if (status.diverging) return 'not converging: the source writes faster than the target takes'
  if (status.phase === 'LIVE_SYNC') {
    // Nothing behind is only known where somebody looked.
    if (status.lagKeys === null && status.lagBytes === null) return 'not observed'
    if (!status.lagBytes && !status.lagKeys) return 'in sync'
    if (status.lagMs === null ? (status.lagKeys ?? 0) <= IN_SYNC_KEYS : status.lagMs < IN_SYNC_MS) return 'in sync'
    return status.etaMs === null ? 'unknown' : formatDuration(status.etaMs)
  }
  if (status.phase === 'INITIAL_SYNC' && status.keysDone === 0) return 'waiting for the snapshot of the source'
  return status.etaMs === null ? 'unknown' : formatDuration(status.etaMs)
}

/** The lines of `status`, laid out as on the product page. */
export function statusLines(status: MigrationStatus): string[] {
  const done = share(status)
  const elapsed = (status.state === 'RUNNING' ? Date.now() : status.updatedAt) - status.startedAt
  const row = (name: string, value: string): string => `${`${name}:`.padEnd(17)}${value}`
  return [
    `Migration: ${status.id}`,
    `Status: ${status.state === 'RUNNING' ? 'IN_PROGRESS' : status.state}`,
    `Phase: ${status.phase}${status.paused ? ' (paused)' : ''}`,
    ...(status.cutoverAt === null || status.cutoverAt === undefined
      ? []
      : [`Cutover scheduled: ${new Date(status.cutoverAt).toISOString()}`]),
    '',
    'Progress:',
    done === null ? `${bar(0)} ?` : `${bar(done)} ${Math.floor(done * 100)}%`,
    '',
    'Statistics:',
    THIN,
    row('Keys migrated', of(status.keysDone, status.keysTotal, formatCount)),
    row('Bytes synced', of(status.bytesDone, status.bytesTotal, formatBytes)),
    ...(status.changesApplied > 0 ? [row('Changes applied', formatCount(status.changesApplied))] : []),
    ...(status.keysSkipped > 0 ? [row('Keys skipped', formatCount(status.keysSkipped))] : []),
    ...(status.keysFailed > 0 ? [row('Keys failed', formatCount(status.keysFailed))] : []),
    row('Current rate', `${formatCount(status.rate)} keys/sec`),
    row('Lag', lagText(status)),
    row('Elapsed', formatDuration(elapsed)),
    row('ETA', etaText(status)),
    ...(status.error ? ['', `Error ${status.error.code}: ${status.error.message}`, `  ${status.error.hint}`] : []),
  ]
}

/** One plain line, for output that is no terminal. */
export function statusLine(status: MigrationStatus): string {
  const done = share(status)
  return [
    new Date().toISOString(),
    status.id,
    status.phase,
    `${done === null ? '?' : Math.floor(done * 100)}%`,
    `keys ${of(status.keysDone, status.keysTotal, formatCount)}`,
    `changes ${formatCount(status.changesApplied)}`,
    `rate ${formatCount(status.rate)}/s`,
    `lag ${lagText(status)}`,
    `eta ${etaText(status)}`,
  ].join('  ')
}
