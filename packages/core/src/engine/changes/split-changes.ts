import type { ChangesEvent, Target } from '@ferrite-migrate/contracts'
import { commandSpecOf, touchedKeys } from '@ferrite-migrate/protocol'

/**
 * Counts the commands and transactions of an event whose keys are in several parts of the target: they do not stay whole there. A
 * transaction counts once, with all its commands.
 */
export function countSplit(
  { records, transactions = [] }: ChangesEvent,
  partOf: NonNullable<Target['partOf']>,
): number {
  let split = 0
  const parts = new Set<number>()
  const goOver = (first: number, end: number): void => {
    parts.clear()
    for (let i = first; i < end && parts.size < 2; i++) {
      const { name, argv, db } = records[i]
      const spec = commandSpecOf(name)
      if (spec.kind === 'write') for (const { key } of touchedKeys(spec, argv, db)) parts.add(partOf(key))
    }
    if (parts.size > 1) split++
  }
  let at = 0
  const alone = (end: number): void => {
    for (; at < end; at++) {
      const { find, first, last } = commandSpecOf(records[at].name)
      // A command of one key is in one part.
      if (find !== undefined || first !== last) goOver(at, at + 1)
    }
  }
  for (const [first, count] of transactions) {
    alone(first)
    at = first + count
    goOver(first, at)
  }
  alone(records.length)
  return split
}
