import type { ChangeRecord, DirtyKey, SourceEvent } from '@ferrite-migrate/contracts'
import { commandRecord, keySlot, SLOTS } from '@ferrite-migrate/protocol'
import { describe, expect, it } from 'vitest'
import { parseClusterPosition } from '../../dist/cluster/cluster-position.js'
import { ClusterShard, type OneStream } from '../../dist/cluster/cluster-shard.js'
import { DoubtfulKeys } from '../../dist/cluster/doubtful-keys.js'
import { SlotHandover } from '../../dist/cluster/slot-handover.js'
import { SlotOwners } from '../../dist/cluster/slot-owners.js'
import type { SnapshotEnd } from '../../dist/cluster/snapshot-end.js'

const key = (text: string): DirtyKey => ({ db: 0, key: Buffer.from(text) })

function command(...words: string[]): ChangeRecord {
  return commandRecord(
    0,
    words.map((word) => Buffer.from(word)),
    Date.now(),
  )
}

/** A stream that was gone on with, and then gives these commands one by one. */
function streamOf(commands: readonly ChangeRecord[]): OneStream {
  return {
    async *read() {
      yield { kind: 'sync', mode: 'partial' }
      for (const [i, record] of commands.entries())
        yield { kind: 'changes', records: [record], position: `r:${i + 1}:0`, byteLength: 10 }
    },
    acknowledge: () => undefined,
    covers: () => true,
    positionAt: (offset) => `r:${offset}:0`,
    readAt: async () => ({ records: [], position: 'r:0:0' }),
    lag: async () => ({}),
    stop: () => undefined,
    close: async () => undefined,
  }
}

function shardOf(commands: readonly ChangeRecord[]) {
  const doubtful = new DoubtfulKeys()
  const owners = new SlotOwners((slot) => handover.isDoubtful(slot))
  const handover = new SlotHandover(owners, doubtful, { log: () => undefined, enabled: () => false })
  const shard = new ClusterShard('a', streamOf(commands), {
    ...{ owners, doubtful, handover },
    begin: async () => undefined,
    changed: () => undefined,
    standing: async () => 0,
    ownsBefore: () => false,
    leftOut: () => undefined,
    keysOf: async () => [],
    snapshotEnd: (): SnapshotEnd => {
      throw new Error('changes are followed')
    },
  })
  return { shard, owners, handover, doubtful }
}

const read = (shard: ClusterShard): AsyncGenerator<SourceEvent> =>
  shard.read({ from: 'r:0:0@', signal: new AbortController().signal, changes: true }) as AsyncGenerator<SourceEvent>

describe('the stream of one primary', () => {
  it('never says that a slot is right whose keys it has not named yet, however long naming takes', async () => {
    const { shard, owners } = shardOf([command('SET', 'x', '1'), command('SET', 'x', '2')])
    owners.give([keySlot(Buffer.from('x'))], 'a')
    const events = read(shard)
    expect((await events.next()).value).toMatchObject({ kind: 'sync' })
    shard.readAgain([key('first')], true)
    expect((await events.next()).value).toMatchObject({ kind: 'dirty' })
    // While whoever reads looks for what vanished, another slot comes, with a key that is to be read.
    owners.give([7], 'a')
    shard.readAgain([key('second')], false)
    const named: string[] = []
    for (;;) {
      const { value } = await events.next()
      if (value?.kind === 'dirty') {
        named.push(...value.keys.map((one: DirtyKey) => one.key.toString()))
        continue
      }
      if (value?.kind !== 'changes') throw new Error('the stream is over')
      expect(parseClusterPosition(value.position).slots).toContain(7)
      break
    }
    expect(named).toEqual(['second'])
    await events.return(undefined)
  })

  it('leaves out what is deleted while its slot moves, and has it read again', async () => {
    const [moved, rests] = ['k', 'other'].map((name) => keySlot(Buffer.from(name)))
    const { shard, owners, handover, doubtful } = shardOf([
      ...[command('DEL', 'k'), command('SET', 'k', '1'), command('UNLINK', 'other')],
    ])
    owners.give(
      Array.from({ length: SLOTS }, (_, slot) => slot),
      'a',
    )
    handover.trace(moved)
    const applied: string[] = []
    for await (const event of read(shard))
      if (event.kind === 'changes') applied.push(...event.records.map(({ name }) => name))
    expect(applied).toEqual(['SET', 'UNLINK'])
    expect([doubtful.has(moved), doubtful.has(rests)]).toEqual([true, false])
  })
})
