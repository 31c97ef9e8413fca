import { counted } from '@ferrite-migrate/contracts'
import type { MigrationStatus } from '@ferrite-migrate/core'
import { bar, formatBytes, formatCount, formatDuration, THIN } from './format.js'
import { phaseText, readsFile } from './phase-text.js'

function share(status: MigrationStatus): number | null {
  if (status.phase === 'LIVE_SYNC' || status.phase === 'VERIFYING' || status.phase === 'COMPLETED') return 1
  if (status.keysTotal !== null && status.keysTotal > 0) return Math.min(1, status.keysDone / status.keysTotal)
  if (status.bytesTotal !== null && status.bytesTotal > 0) return Math.min(1, status.bytesDone / status.bytesTotal)
  return status.keysTotal === 0 ? 1 : null
}

function of(done: number, total: number | null, format: (value: number) => string): string {
  return total === null ? format(done) : `${format(done)} / ${format(Math.max(total, done))}`
}

/** Lag with its units: keys first, then bytes and time where they are known. */
export function lagText(status: MigrationStatus): string {
  if (status.lagKeys === null && status.lagBytes === null) return 'unknown'
  const details = [
    ...(status.lagBytes ? [formatBytes(status.lagBytes)] : []),
    ...(status.lagMs ? [formatDuration(status.lagMs)] : []),
    ...(status.spoolBytes > 1 << 20 ? [`${formatBytes(status.spoolBytes)} spooled`] : []),
  ]
  return `${counted(status.lagKeys ?? 0, 'key')}${details.length > 0 ? ` (${details.join(', ')})` : ''}`
}

export function etaText(status: MigrationStatus): string {
  if (status.state !== 'RUNNING') return '-'
  if (status.paused) return 'paused'
  if (status.diverging) return 'not converging: the source writes faster than the target takes'
  if (status.phase === 'LIVE_SYNC') {
    // Nothing behind is only known where somebody looked.
    if (status.lagKeys === null && status.lagBytes === null) return 'not observed'
    if (status.inSync || (!status.lagBytes && !status.lagKeys)) return 'in sync'
  } else if (status.phase !== 'INITIAL_SYNC') return '-'
  if (status.phase === 'INITIAL_SYNC' && status.keysDone === 0)
    return status.capture === 'psync' ? 'waiting for the snapshot of the source' : '-'
  if (status.etaMs === null) return 'unknown'
  return status.etaMs > 86_400_000 ? 'more than a day' : formatDuration(status.etaMs)
}

/** Whether there is something to be behind of. */
function follows(status: MigrationStatus): boolean {
  return status.mode !== 'snapshot' && !readsFile(status)
}

/** Of a file that is replayed, the commands are the file. */
function fileChanges(status: MigrationStatus): number {
  return readsFile(status) ? status.changeBytes : 0
}

/** Read, and what of it was left out: without either, one number says both. */
function keysText(status: MigrationStatus): string {
  const { keysDone, keysTotal, keysFiltered = 0, keysLeftOut = 0 } = status
  const read = of(keysDone, keysTotal, formatCount)
  if (keysFiltered + keysLeftOut === 0) return read
  const out = [
    ...(keysFiltered > 0 ? [`${formatCount(keysFiltered)} filtered out`] : []),
    ...(keysLeftOut > 0 ? [`${formatCount(keysLeftOut)} left out`] : []),
  ]
  return `${formatCount(keysDone - keysFiltered - keysLeftOut)} (${read} read, ${out.join(', ')})`
}

export function changesText({ changesApplied, changesFiltered = 0, changesSplit = 0 }: MigrationStatus): string {
  const filtered = changesFiltered > 0 ? `, ${formatCount(changesFiltered)} filtered out` : ''
  const split = changesSplit > 0 ? `, ${formatCount(changesSplit)} over several slots, taken apart` : ''
  return `${formatCount(changesApplied)}${filtered}${split}`
}

/** The lines of `status`, laid out as on the product page. */
export function statusLines(status: MigrationStatus): string[] {
  const done = share(status)
  const elapsed = (status.state === 'RUNNING' ? Date.now() : status.updatedAt) - status.startedAt
  const row = (name: string, value: string): string => `${`${name}:`.padEnd(17)}${value}`
  return [
    `Migration: ${status.id}`,
    `Status: ${status.state === 'RUNNING' ? 'IN_PROGRESS' : status.state}`,
    `Phase: ${phaseText(status)}${status.paused ? ' (paused)' : ''}`,
    ...(status.cutoverAt === null || status.cutoverAt === undefined
      ? []
      : [
          `Cutover scheduled: ${new Date(status.cutoverAt).toISOString()} (in ${formatDuration(Math.max(0, status.cutoverAt - Date.now()))})`,
        ]),
    '',
    'Progress:',
    done === null ? `${bar(0)} ?` : `${bar(done)} ${Math.floor(done * 100)}%`,
    '',
    'Statistics:',
    THIN,
    row('Keys migrated', keysText(status)),
    ...(status.bytesDone === 0 && status.changeBytes === 0 && status.keysDone > 0
      ? []
      : [row('Bytes synced', of(status.bytesDone + fileChanges(status), status.bytesTotal, formatBytes))]),
    ...(status.changesApplied > 0 || (status.changesFiltered ?? 0) > 0
      ? [row('Changes applied', changesText(status))]
      : []),
    ...(status.keysSkipped > 0 ? [row('Keys skipped', formatCount(status.keysSkipped))] : []),
    ...(status.keysFailed > 0 ? [row('Keys failed', formatCount(status.keysFailed))] : []),
    ...(status.state === 'RUNNING' ? [row('Current rate', `${formatCount(status.rate)} keys/sec`)] : []),
    ...(status.state === 'RUNNING' && follows(status) ? [row('Lag', lagText(status))] : []),
    row('Elapsed', formatDuration(elapsed)),
    ...(status.state === 'RUNNING' ? [row('ETA', etaText(status))] : []),
    ...(status.error ? ['', `Error ${status.error.code}: ${status.error.message}`, `  ${status.error.hint}`] : []),
  ]
}

/** One plain line, for output that is no terminal. */
export function statusLine(status: MigrationStatus): string {
  const done = share(status)
  return [
    new Date().toISOString(),
    status.id,
    readsFile(status) && status.state === 'RUNNING' ? 'IMPORT' : status.phase,
    `${done === null ? '?' : Math.floor(done * 100)}%`,
    `read ${of(status.keysDone, status.keysTotal, formatCount)}`,
    `written ${formatCount(status.keysWritten)}`,
    ...((status.keysFiltered ?? 0) > 0 ? [`filtered out ${formatCount(status.keysFiltered)}`] : []),
    ...(status.changesApplied > 0 ? [`changes ${formatCount(status.changesApplied)}`] : []),
    `rate ${formatCount(status.rate)}/s`,
    ...(follows(status) ? [`lag ${lagText(status)}`] : []),
    ...(status.phase === 'INITIAL_SYNC' || follows(status) ? [`eta ${etaText(status)}`] : []),
  ].join('  ')
}
