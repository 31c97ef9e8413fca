import type { MigrationReport, MigrationStatus } from '@ferrite-migrate/core'
import { readsFile } from './phase-text.js'

const TOOL = 'ferrite-migrate'

/** A command line for this migration; a directory of one's own must be named again. */
function command(words: string, stateDir: string | undefined): string {
  return `${TOOL} ${words}${stateDir === undefined ? '' : ` --state-dir ${stateDir}`}`
}

/** What can be done while it runs. @param stateDir as given; undefined = the default */
export function nextStep(status: MigrationStatus, stateDir: string | undefined): string[] {
  const { id } = status
  if (status.paused) return [`Paused.  Go on: ${command(`resume --id ${id}`, stateDir)}`]
  if (status.phase === 'STOPPING') return ['Stopping: what was read is being written. Ctrl-C again stops at once.']
  if (typeof status.cutoverAt === 'number')
    return [
      `Cutover at ${new Date(status.cutoverAt).toISOString()}.  Take it back: ${command(`cutover --id ${id} --cancel`, stateDir)}`,
    ]
  if (status.phase === 'LIVE_SYNC' && !readsFile(status) && status.mode === 'live')
    return [`Ctrl-C stops and saves.  Switch over: ${command(`cutover --id ${id}`, stateDir)}`]
  if (status.phase === 'INITIAL_SYNC' || status.phase === 'LIVE_SYNC' || status.phase === 'WAITING')
    return [`Ctrl-C stops and saves.  Go on later: ${command(`migrate --resume ${id}`, stateDir)}`]
  return []
}

/** What can be done when it is over. */
export function afterRun({ status, undoable }: MigrationReport, stateDir: string | undefined): string[] {
  const { id, state } = status
  if (state === 'COMPLETED') return [`Report:    ${command(`report --id ${id}`, stateDir)}`]
  if (state === 'ROLLED_BACK') return []
  return [
    `Go on:     ${command(`migrate --resume ${id}`, stateDir)}`,
    // A file cannot be asked what others have written since.
    ...(undoable
      ? [`Take back: ${command(`rollback --id ${id}${readsFile(status) ? ' --force' : ''}`, stateDir)}`]
      : []),
  ]
}
