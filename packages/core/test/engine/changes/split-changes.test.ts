import type { ChangesEvent } from '@ferrite-migrate/contracts'
import { commandRecord, keySlot } from '@ferrite-migrate/protocol'
import { describe, expect, it } from 'vitest'
import { countSplit } from '../../../dist/engine/changes/split-changes.js'

function split(commands: readonly string[], transactions: ChangesEvent['transactions'] = []): number {
  const records = commands.map((text) =>
    commandRecord(
      0,
      text.split(' ').map((word) => Buffer.from(word)),
      0,
    ),
  )
  return countSplit({ kind: 'changes', records, transactions, byteLength: 1, position: '' }, keySlot)
}

describe('changes over several parts of a target', () => {
  it.each<[number, string[], [number, number][]?]>([
    [0, ['SET a 1', 'SET b 1', 'INCR c']],
    [1, ['SET a 1', 'DEL a b', 'SET b 1']],
    [2, ['MSET a 1 b 2', 'RENAME a b']],
    [0, ['MSET {t}a 1 {t}b 2', 'RENAME {t}a {t}b', 'FLUSHALL', 'PUBLISH a b']],
    [1, ['SET a 1', 'SET b 1', 'SET c 1'], [[0, 2]]],
    [0, ['SET {t}a 1', 'SET {t}b 1', 'SET c 1'], [[0, 2]]],
    // A transaction counts once, whatever is in it.
    [2, ['DEL a b', 'SET a 1', 'DEL c d'], [[1, 2]]],
    [
      3,
      ['SET a 1', 'SET b 1', 'DEL x y', 'SET c 1', 'SET d 1'],
      [
        [0, 2],
        [3, 2],
      ],
    ],
  ])('are %i in %j', (count, commands, transactions) => {
    expect(split(commands, transactions)).toBe(count)
  })
})
