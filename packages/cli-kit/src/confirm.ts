import { MigrateError } from '@ferrite-migrate/contracts'
import { Flags } from '@oclif/core'

/** The flag that answers the question. */
export const yesFlag = Flags.boolean({ char: 'y', description: 'Do not ask', helpGroup: 'GLOBAL' })

/**
 * Asks before what is hard to undo, where somebody is there to answer: scripts, pipes and --json are not asked.
 * @param question one that is answered by yes or no
 * @throws MigrateError FM_NOT_CONFIRMED when the answer is no
 */
export async function confirmed(question: string, flags: { readonly yes: boolean }, json: boolean): Promise<void> {
  if (flags.yes || json || process.stdin.isTTY !== true || process.stderr.isTTY !== true) return
  const { default: confirm } = await import('@inquirer/confirm')
  const refused = new MigrateError('FM_NOT_CONFIRMED', 'not confirmed: nothing was changed', '--yes does not ask.')
  let answer: boolean
  try {
    answer = await confirm({ message: question, default: false }, { output: process.stderr })
  } catch (error) {
    if (error instanceof Error && error.name === 'ExitPromptError') throw refused
    throw error
  }
  if (!answer) throw refused
}
