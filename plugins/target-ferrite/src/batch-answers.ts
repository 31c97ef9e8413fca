import type { ConflictPolicy } from '@ferrite-migrate/contracts'
import type { Flight } from './lane-connection.js'
import { NOBODY, type RenderedBatch } from './rendered-batch.js'
import { notExecutedError, type RefusingEndpoint, refusalError } from './target-error.js'

/** What the records of a batch were answered, by their index; of the others the target took all. */
export class BatchAnswers {
  /** The target's words. */
  readonly refused = new Map<number, string>()
  /** Records that were not written because their key was there already. */
  readonly present = new Set<number>()

  /** Of several errors about one record the first one tells the cause (EXECABORT comes last). */
  refuse(index: number, text: string): void {
    if (!this.refused.has(index)) this.refused.set(index, text)
  }

  /** True when it was written, as far as is known yet. */
  took(index: number): boolean {
    return !this.refused.has(index) && !this.present.has(index)
  }
}

/**
 * Finds the records that the replies to a batch are about.
 * @throws MigrateError FM_TARGET_NOT_EXECUTED, and what a refusal of a command that is no record's means
 */
export function readAnswers(
  { owners, groups, transactions }: RenderedBatch,
  flight: Flight,
  onConflict: ConflictPolicy,
  endpoint: RefusingEndpoint,
): BatchAnswers {
  const answers = new BatchAnswers()
  for (const { index, text } of flight.errors) {
    const owner = owners[index]
    if (owner === NOBODY) throw refusalError(endpoint, text)
    if (owner > NOBODY) answers.refuse(owner, text)
    else for (const one of groups[-2 - owner]) answers.refuse(one, text)
  }
  for (const { index, commands } of transactions)
    if (!answers.refused.has(owners[index]) && flight.sizes?.get(index) !== commands)
      throw notExecutedError(endpoint.label)
  for (const index of flight.nils) {
    const owner = owners[index]
    // Nil tells that a key was there already; whoever was told to replace it has not done so.
    if (onConflict === 'replace' || owner < NOBODY) throw notExecutedError(endpoint.label)
    if (owner > NOBODY) answers.present.add(owner)
  }
  return answers
}
