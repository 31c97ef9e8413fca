import type { MigrationStatus } from '@ferrite-migrate/core'

/** True for a source that is a file: nothing is followed, and nothing is behind. */
export function readsFile({ capture }: MigrationStatus): boolean {
  return capture.startsWith('file') || capture === 'keys of a file'
}

/** The phase and what it means for this run. Under --json only `phase` is given. */
export function phaseText(status: MigrationStatus): string {
  const { phase, mode } = status
  const file = readsFile(status)
  switch (phase) {
    case 'INITIAL_SYNC':
      return file ? 'IMPORT (reading the file)' : `INITIAL_SYNC (${mode === 'snapshot' ? 'copying' : 'first copy'})`
    case 'LIVE_SYNC':
      return file ? 'IMPORT (replaying the commands)' : 'LIVE_SYNC (following the source)'
    case 'STOPPING':
      return 'STOPPING (writing what was read)'
    case 'WAITING':
      return 'WAITING (for the next pass)'
    default:
      return phase
  }
}
