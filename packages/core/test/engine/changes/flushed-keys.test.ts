import { MemoryStore, MemoryTarget } from '@ferrite-migrate/conformance'
import { describe, expect, it } from 'vitest'
import { flushCommands } from '../../../dist/engine/changes/flushed-keys.js'
import { LanePool } from '../../../dist/engine/lanes/lane-pool.js'
import { SeenKeys } from '../../../dist/engine/snapshot/seen-keys.js'
import { VanishedKeys } from '../../../dist/engine/snapshot/vanished-keys.js'
import { ForeignKeys } from '../../../dist/engine/target-content/foreign-keys.js'
import { NO_TRANSFORM, RecordFilter, RecordTransform } from '../../../dist/index.js'
import { TargetKeys } from '../../../dist/transform/target-keys.js'
import { record, words } from '../../doubles.js'

const filter = new RecordFilter({ include: ['a*'] })
const moved = new RecordTransform({
  keyRules: [],
  valueRules: [],
  script: null,
  template: null,
  dbs: new Map([[0, 5]]),
  end: null,
  onError: 'fail',
})

/** What a flush of these databases deletes at a target that holds keys in some of its own. */
async function flushed(
  keys: readonly (readonly [db: number, key: string])[],
  dbs: readonly number[],
  { transform = NO_TRANSFORM, foreign = null as ForeignKeys | null } = {},
): Promise<string[]> {
  const store = new MemoryStore()
  for (const [db, key] of keys) store.set(record(key, 'v', 0, db))
  const target = new MemoryTarget(store)
  const targetKeys = new TargetKeys(filter, transform)
  const lanes = new LanePool(target, 1, () => undefined).forShard()
  const vanished = new VanishedKeys(
    {
      config: { deleteExtra: false },
      target,
      targetKeys,
      filter,
      transform,
      targetWasEmpty: true,
      databases: null,
      wrote: () => true,
      onNote: () => undefined,
    },
    lanes,
    0,
    { id: 's' },
    new SeenKeys(['s']),
  )
  const commands = await flushCommands({ target, filter, transform, foreign }, vanished, dbs)
  return commands.map((one) => `${one.db} ${words(one)}`)
}

describe('a flush of the source', () => {
  it('deletes what the filter takes, in the databases that were flushed', async () => {
    const keys = [
      [0, 'a1'],
      [0, 'b1'],
      [2, 'a2'],
    ] as const
    expect(await flushed(keys, [])).toEqual(['0 DEL a1', '2 DEL a2'])
    expect(await flushed(keys, [2])).toEqual(['2 DEL a2'])
    expect(await flushed(keys, [1])).toEqual([])
  })

  it('looks for keys where they were moved', async () => {
    const keys = [
      [0, 'a1'],
      [5, 'a1'],
      [5, 'b1'],
    ] as const
    expect(await flushed(keys, [0], { transform: moved })).toEqual(['5 DEL a1'])
  })

  it('leaves alone what was there before and is to stay', async () => {
    const store = new MemoryStore()
    store.set(record('a1'))
    const find = (policy: 'skip' | 'replace') =>
      ForeignKeys.find({
        target: new MemoryTarget(store),
        targetKeys: new TargetKeys(filter, NO_TRANSFORM),
        policy,
        wrote: () => false,
      })
    const keys = [
      [0, 'a1'],
      [0, 'a2'],
    ] as const
    expect(await flushed(keys, [], { foreign: await find('skip') })).toEqual(['0 DEL a2'])
    expect(await flushed(keys, [], { foreign: await find('replace') })).toEqual(['0 DEL a1', '0 DEL a2'])
  })
})
