import { MemorySource, MemoryStore, MemoryTarget } from '@ferrite-migrate/conformance'
import { MigrateError, type Source } from '@ferrite-migrate/contracts'
import { beforeEach, describe, expect, it } from 'vitest'
import { KeyValues, type KeyValuesNeeds } from '../../../dist/engine/changes/key-values.js'
import { LanePool, type ShardLanes } from '../../../dist/engine/lanes/lane-pool.js'
import { Progress } from '../../../dist/engine/progress/progress.js'
import { ForeignKeys } from '../../../dist/engine/target-content/foreign-keys.js'
import { keyRule, NO_TRANSFORM, RecordFilter, RecordTransform } from '../../../dist/index.js'
import { TargetKeys } from '../../../dist/transform/target-keys.js'
import { names, record } from '../../doubles.js'

const filter = new RecordFilter({ minTtlMs: 0, exclude: ['other:*'] })
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
let progress: Progress
let lanes: ShardLanes
beforeEach(() => {
  source = new MemoryStore()
  store = new MemoryStore()
  progress = new Progress()
  lanes = new LanePool(new MemoryTarget(store), 1, () => undefined).forShard()
})

function values(needs: Partial<KeyValuesNeeds> = {}): KeyValues {
  const made: KeyValuesNeeds = {
    config: { syncTimeoutMs: 0 },
    source: new MemorySource(source),
    filter,
    transform: NO_TRANSFORM,
    foreign: null,
    progress,
    signal: new AbortController().signal,
    ...needs,
  }
  return new KeyValues(made, lanes, 0, null)
}
const left = (): string[] => names(store.records.values()).sort()

describe('single keys', () => {
  it('are written as the source has them, and deleted where it has none', async () => {
    source.set(record('a', 'new'))
    store.set(record('a', 'old'))
    store.set(record('b', 'old'))
    const keys = [record('a'), record('b')]
    const one = values()
    await one.write(keys, await one.read(keys))
    await lanes.drain()
    expect([...store.records.values()]).toEqual([record('a', 'new')])
  })

  it('that the filter takes no more are deleted', async () => {
    source.set(record('other:a'))
    store.set(record('other:a'))
    const one = values()
    await one.write([record('other:a')], await one.read([record('other:a')]))
    await lanes.drain()
    expect(left()).toEqual([])
  })

  it('get their names at the target', async () => {
    source.set(record('a'))
    store.set(record('new:b'))
    const keys = [record('a'), record('b')]
    const one = values({ transform: prefixed })
    await one.write(keys, await one.read(keys))
    await lanes.drain()
    expect(left()).toEqual(['new:a'])
  })

  it('that are to stay at the target are skipped and counted', async () => {
    source.set(record('a', 'new'))
    store.set(record('a', 'theirs'))
    const foreign = await ForeignKeys.find({
      target: new MemoryTarget(store),
      targetKeys: new TargetKeys(filter, NO_TRANSFORM),
      policy: 'skip',
      wrote: () => false,
    })
    const one = values({ foreign })
    await one.write([record('a')], await one.read([record('a')]))
    await lanes.drain()
    expect([[...store.records.values()], progress.skipped]).toEqual([[record('a', 'theirs')], 1])
  })
})

describe('what needs the source', () => {
  it('is tried no more when its time is over, or nothing helps', async () => {
    const lost = new MigrateError('FM_CONNECT_LOST', 'away', 'Wait.', { retryable: true })
    let tried = 0
    const failing = (error: Error) => async () => {
      tried++
      throw error
    }
    await expect(values({ config: { syncTimeoutMs: -1 } }).persisting(failing(lost))).rejects.toBe(lost)
    const broken = new Error('broken')
    await expect(values({ config: { syncTimeoutMs: 60_000 } }).persisting(failing(broken))).rejects.toBe(broken)
    expect(tried).toBe(2)
  })

  it('is tried again while it is away', async () => {
    let tried = 0
    await values({ config: { syncTimeoutMs: 60_000 } }).persisting(async () => {
      if (++tried < 2) throw new MigrateError('FM_CONNECT_LOST', 'away', 'Wait.', { retryable: true })
    })
    expect(tried).toBe(2)
  })

  it('says so where there are no single keys', () => {
    const { capabilities, description, shards } = new MemorySource(source)
    const blind: Source = { capabilities, description, shards, [Symbol.asyncDispose]: async () => undefined }
    expect(() => values({ source: blind }).source()).toThrow(expect.objectContaining({ code: 'FM_CONTRACT' }))
  })
})
