import { MemoryStore, MemoryTarget } from '@ferrite-migrate/conformance'
import { beforeEach, describe, expect, it } from 'vitest'
import { LanePool } from '../../../dist/engine/lanes/lane-pool.js'
import { KnownDatabases } from '../../../dist/engine/snapshot/known-databases.js'
import { SeenKeys } from '../../../dist/engine/snapshot/seen-keys.js'
import { VanishedKeys, type VanishedKeysNeeds } from '../../../dist/engine/snapshot/vanished-keys.js'
import { keyRule, NO_TRANSFORM, RecordFilter, RecordTransform } from '../../../dist/index.js'
import { TargetKeys } from '../../../dist/transform/target-keys.js'
import { names, record } from '../../doubles.js'

const prefixed = new RecordTransform({
  keyRules: [keyRule({ type: 'prefix', value: 'new:' })],
  valueRules: [],
  script: null,
  template: null,
  dbs: new Map(),
  end: null,
  onError: 'fail',
})

let source: MemoryStore
let store: MemoryStore
let notes: string[]
beforeEach(() => {
  source = new MemoryStore()
  store = new MemoryStore()
  notes = []
})

function vanished(needs: Partial<VanishedKeysNeeds> = {}, all = new SeenKeys(['s']), shard = 's'): VanishedKeys {
  const filter = new RecordFilter({ exclude: ['other:*'] })
  const transform = needs.transform ?? NO_TRANSFORM
  const target = new MemoryTarget(store)
  const lanes = new LanePool(target, 1, () => undefined).forShard()
  const made: VanishedKeysNeeds = {
    config: { deleteExtra: false },
    target,
    targetKeys: new TargetKeys(filter, transform),
    filter,
    transform,
    targetWasEmpty: true,
    databases: null,
    wrote: () => false,
    onNote: (type, text) => notes.push(`${type}: ${text}`),
    ...needs,
  }
  return new VanishedKeys(made, lanes, 0, { id: shard }, all)
}

const fill = (into: MemoryStore, ...keys: string[]): void => {
  for (const key of keys) into.set(record(key))
}
const left = (): string[] => names(store.records.values()).sort()

describe('vanished keys', () => {
  it('are what a second snapshot has no more', async () => {
    fill(store, 'a', 'b', 'other:c')
    const one = vanished()
    one.begin()
    one.see([record('a'), record('b')])
    await one.endSnapshot(true)
    expect(left()).toEqual(['a', 'b', 'other:c'])
    one.begin()
    one.see([record('a')])
    await one.endSnapshot(false)
    expect(left()).toEqual(['a', 'other:c'])
    expect(notes).toEqual(['vanished: 1 key that vanished at the source was deleted at the target'])
  })

  it('are deleted by a first snapshot only where that was asked for', async () => {
    fill(store, 'a', 'extra')
    const one = vanished({ config: { deleteExtra: true }, targetWasEmpty: false })
    one.begin()
    one.see([record('a')])
    await one.endSnapshot(true)
    expect(left()).toEqual(['a'])
  })

  it('are not looked for when nobody remembered what came', async () => {
    fill(store, 'a')
    await vanished().endSnapshot(false)
    expect(left()).toEqual(['a'])
  })

  it('are none in a database that nothing of the source went to', async () => {
    fill(store, 'a', 'gone')
    for (const db of [3, 8]) store.set(record('foreign', 'v', 0, db))
    const known: (readonly number[])[] = []
    const databases = new KnownDatabases([], (all) => known.push(all))
    databases.note([{ db: 0 }, { db: 3 }, { db: 0 }])
    const one = vanished({ databases })
    one.begin()
    one.see([record('a')])
    await one.endSnapshot(false)
    expect([known, left()]).toEqual([
      [[0], [0, 3]],
      ['a', 'foreign'],
    ])
    expect([...store.records.values()].map(({ db }) => db).sort()).toEqual([0, 8])
  })

  it('that may be somebody else’s stay, and are told of once', async () => {
    fill(store, 'mine', 'written', 'foreign')
    const one = vanished({ targetWasEmpty: false, wrote: (_, key) => String(key) === 'written' })
    one.begin()
    one.see([record('mine')])
    await one.endSnapshot(true)
    for (let pass = 0; pass < 2; pass++) {
      one.begin()
      await one.endSnapshot(false)
      fill(store, 'mine')
    }
    expect(left()).toEqual(['foreign', 'mine'])
    expect(notes.filter((note) => note.startsWith('vanished-kept'))).toHaveLength(1)
  })

  it('are found by asking the source for each name', async () => {
    fill(source, 'a')
    fill(store, 'a', 'b', 'other:c')
    await vanished().sweep(source.reader())
    expect(left()).toEqual(['a', 'other:c'])
  })

  it('are found under other names, and what others call so stays', async () => {
    fill(source, 'a', 'other:x')
    fill(store, 'new:a', 'new:b', 'foreign', 'new:other:x')
    await vanished({ transform: prefixed }).sweep(source.reader())
    expect(left()).toEqual(['foreign', 'new:a', 'new:other:x'])
  })

  it('of two shards wait for both', async () => {
    fill(store, 'a', 'b', 'extra')
    const all = new SeenKeys(['one', 'two'])
    const needs = { config: { deleteExtra: true } }
    const [one, two] = [vanished(needs, all, 'one'), vanished(needs, all, 'two')]
    one.begin()
    two.begin()
    one.see([record('a')])
    two.see([record('b')])
    await one.endSnapshot(true)
    expect(left()).toEqual(['a', 'b', 'extra'])
    await two.endSnapshot(true)
    expect(left()).toEqual(['a', 'b'])
  })
})
