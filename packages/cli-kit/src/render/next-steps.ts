import { type MigrationReport, type MigrationStatus, withoutPassword } from '@ferrite-migrate/core'
import { readsFile } from './phase-text.js'

const TOOL = 'ferrite-migrate'

/** What was named on the command line, and must be named again: nothing finds it by itself. */
export interface NamedAgain {
  /** Undefined = the default. */
  readonly stateDir?: string | undefined
  /** Packages or folders of --plugin. */
  readonly plugins?: readonly string[] | undefined
  /** Address of a queue, which may hold a password. */
  readonly queue?: string | undefined
}

/** A command line that names what has to be named again. */
export function commandAgain(words: string, { stateDir, queue }: NamedAgain): string {
  const again = [
    ...(stateDir === undefined ? [] : [`--state-dir ${word(stateDir)}`]),
    ...(queue === undefined ? [] : [`--queue ${word(withoutPassword(queue))}`]),
  ]
  return [TOOL, words, ...again].join(' ')
}

/** A command line that opens both ends once more. */
function opening(words: string, given: NamedAgain): string {
  return commandAgain([words, ...(given.plugins ?? []).map((name) => `--plugin ${word(name)}`)].join(' '), given)
}

/** As a shell takes it for one word. */
function word(text: string): string {
  return /^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", `'\\''`)}'`
}

/** What can be done while it runs. */
export function nextStep(status: MigrationStatus, given: NamedAgain): string[] {
  const { id } = status
  if (status.paused) return [`Paused.  Go on: ${commandAgain(`resume --id ${id}`, given)}`]
  if (status.phase === 'STOPPING') return ['Stopping: what was read is being written. Ctrl-C again stops at once.']
  if (typeof status.cutoverAt === 'number')
    return [
      `Cutover at ${new Date(status.cutoverAt).toISOString()}.  Take it back: ${commandAgain(`cutover --id ${id} --cancel`, given)}`,
    ]
  if (status.phase === 'LIVE_SYNC' && !readsFile(status) && status.mode === 'live')
    return [`Ctrl-C stops and saves.  Switch over: ${commandAgain(`cutover --id ${id}`, given)}`]
  if (status.phase === 'INITIAL_SYNC' || status.phase === 'LIVE_SYNC' || status.phase === 'WAITING')
    return [`Ctrl-C stops and saves.  Go on later: ${opening(`migrate --resume ${id}`, given)}`]
  return []
}

/** What can be done when it is over. */
export function afterRun({ status, undoable }: MigrationReport, given: NamedAgain): string[] {
  const { id, state } = status
  if (state === 'COMPLETED') return [`Report:    ${commandAgain(`report --id ${id}`, given)}`]
  if (state === 'ROLLED_BACK') return []
  return [
    `Go on:     ${opening(`migrate --resume ${id}`, given)}`,
    // A file cannot be asked what others have written since.
    ...(undoable ? [`Take back: ${opening(`rollback --id ${id}${readsFile(status) ? ' --force' : ''}`, given)}`] : []),
  ]
}
