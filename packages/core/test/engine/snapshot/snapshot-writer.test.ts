import { MemoryTarget } from '@ferrite-migrate/conformance'
import type { SnapshotEvent, SnapshotRecord, Target, ValueSlice } from '@ferrite-migrate/contracts'
import { beforeEach, describe, expect, it } from 'vitest'
import type { SnapshotWriter } from '../../../dist/engine/snapshot/snapshot-writer.js'
import { ForeignKeys } from '../../../dist/engine/target-content/foreign-keys.js'
import { keyRule, RecordFilter, RecordTransform } from '../../../dist/index.js'
import { TargetKeys } from '../../../dist/transform/target-keys.js'
import { bytes, HeldTarget, names, record, ScriptedTarget, turn } from '../../doubles.js'
import { fill, type Given, MemoryRoute, sourceWith } from '../memory-route.js'

let route: MemoryRoute
let released: number
beforeEach(() => {
  route = new MemoryRoute()
  released = 0
})

/** A writer, and what waits for its batches. */
function writer(given: Given = {}): { one: SnapshotWriter; drain(): Promise<void> } {
  const { writer: one, lanes } = route.parts(given)
  return { one, drain: () => lanes.drain() }
}
const event = (...records: SnapshotRecord[]): SnapshotEvent => ({
  kind: 'snapshot',
  records,
  byteLength: 100,
  release: () => released++,
})
const eventOf = (...keys: string[]): SnapshotEvent => event(...keys.map((key) => record(key)))
const renaming = (...specs: Parameters<typeof keyRule>[0][]): RecordTransform =>
  new RecordTransform({
    keyRules: specs.map(keyRule),
    valueRules: [],
    script: null,
    template: null,
    dbs: new Map(),
    end: null,
    onError: 'fail',
  })

/** The lanes in which batches came, by the keys in them. */
function lanesOf(target: ScriptedTarget): Map<string, number> {
  const lanes = new Map<string, number>()
  for (const batch of target.taken)
    if (batch.kind === 'snapshot') for (const key of names(batch.records)) lanes.set(key, batch.lane)
  return lanes
}

/** One whose keys may come twice, as those of a scan. */
const scanned = (): Given['source'] => sourceWith({ capabilities: { changes: 'none', resume: 'none' } }, route.source)

describe('records of a snapshot', () => {
  it('are written as far as the filter takes them, and counted when the target has them', async () => {
    const target = new HeldTarget()
    const { one, drain } = writer({ target, filter: new RecordFilter({ exclude: ['b'] }) })
    await one.write(eventOf('a', 'b', 'c'), true, false)
    const counts = route.progress.of('0')
    expect([counts.keysDone, counts.filtered, counts.bytesDone, released]).toEqual([0, 0, 0, 0])
    target.answer(0)
    await drain()
    expect([counts.keysDone, counts.filtered, counts.bytesDone, released]).toEqual([3, 1, 100, 1])
    expect([...lanesOf(target).keys()]).toEqual(['a', 'c'])
  })

  it('that all are left out need no target', async () => {
    const { one } = writer({ target: new HeldTarget(), filter: new RecordFilter({ include: ['z'] }) })
    await one.write(eventOf('a', 'b'), true, false)
    expect([route.progress.of('0').filtered, released]).toEqual([2, 1])
  })

  it('that were counted before are not counted again', async () => {
    const { one, drain } = writer()
    await one.write(eventOf('a'), true, true)
    await drain()
    expect([route.progress.of('0').keysDone, released, route.arrived]).toEqual([0, 1, ['a']])
  })

  it('make their position durable in order, however late the target answers', async () => {
    const target = new HeldTarget()
    const { one, drain } = writer({ target, lanes: 2 })
    await one.write({ ...eventOf('a'), position: 'memory:0:0:61.' }, true, false)
    await one.write({ ...eventOf('b'), position: 'memory:0:0:62.' }, true, false)
    const positions = () => route.told.flatMap((told) => (told.kind === 'position' ? [told.position] : []))
    target.answer(1)
    await turn()
    expect([released, positions()]).toEqual([1, []])
    target.answer(0)
    await drain()
    expect(positions()).toEqual(['memory:0:0:62.'])
  })

  it('get the names that the rules give them', async () => {
    const { one, drain } = writer({ transform: renaming({ type: 'prefix', value: 'new:' }) })
    await one.write(eventOf('a', 'b'), true, false)
    await drain()
    expect(route.arrived).toEqual(['new:a', 'new:b'])
  })

  it('whose hash tags part are told of, once', async () => {
    const { one, drain } = writer({ transform: renaming({ type: 'rename', from: '^\\{user\\}', to: 'user' }) })
    for (const key of ['{user}:1', '{user}:2']) await one.write(eventOf(key), true, false)
    await drain()
    expect(route.notes).toEqual(['hash-tags: {user}:1 becomes user:1, in another slot: keys of one hash tag may part'])
  })
})

describe('lanes', () => {
  it('take turns where no key comes twice', async () => {
    const target = new ScriptedTarget()
    const { one, drain } = writer({ target, lanes: 3 })
    for (const key of ['a', 'b', 'c', 'd']) await one.write(eventOf(key), true, false)
    await drain()
    expect([...lanesOf(target).values()]).toEqual([1, 2, 0, 1])
  })

  it('are always the same for a key that may come twice', async () => {
    const target = new ScriptedTarget()
    const { one, drain } = writer({ target, lanes: 3, source: scanned()! })
    const keys = Array.from({ length: 30 }, (_, i) => `key:${i}`)
    await one.write(eventOf(...keys), true, false)
    await drain()
    const first = lanesOf(target)
    expect([first.size, new Set(first.values()).size]).toEqual([30, 3])
    target.taken.length = 0
    await one.write(eventOf(...keys.toReversed()), true, false)
    await drain()
    expect(lanesOf(target)).toEqual(first)
    // One event in several batches is done when the last one is.
    expect([route.progress.of('0').keysDone, released]).toEqual([60, 2])
  })

  it('are those that the target asks for', async () => {
    const target: ScriptedTarget & Pick<Target, 'laneOf'> = Object.assign(new ScriptedTarget(), {
      laneOf: (_: number, key: Buffer) => (key[0] === 97 ? 2 : 0),
    })
    const { one, drain } = writer({ target, lanes: 3 })
    await one.write(eventOf('a1', 'b1', 'a2'), true, false)
    await drain()
    expect([...lanesOf(target)].sort()).toEqual([
      ['a1', 2],
      ['a2', 2],
      ['b1', 0],
    ])
  })
})

describe('a copy that starts over', () => {
  it.each([
    ['dealt out', undefined],
    ['in order', 'scan'],
  ])('sends only what differs, and says how much that was (%s)', async (_, scan) => {
    fill(route.there, 'same')
    route.there.set(record('other', 'old'))
    const { one, drain } = writer(scan === undefined ? {} : { source: scanned()! })
    await one.compare()
    await one.write(eventOf('same', 'other', 'new'), true, false)
    await drain()
    await one.report(false)
    expect(route.arrived).toEqual(['new', 'other', 'same'])
    expect([route.progress.written, route.progress.of('0').kept]).toEqual([2, 1])
    expect(route.notes).toEqual(['compared: 1 key was right at the target already, 2 written'])
    expect(route.there.get(0, bytes('other'))).toEqual(record('other'))
  })

  it('says nothing of a sweep in which nothing differed', async () => {
    fill(route.there, 'a')
    const { one, drain } = writer()
    await one.compare()
    await one.write(eventOf('a'), true, true)
    await drain()
    await one.report(true)
    expect([route.notes, route.progress.of('0').kept]).toEqual([[], 0])
  })

  it('replaces what is of this run whatever the policy for conflicts says', async () => {
    route.there.set(record('a', 'old'))
    const given: Given = { config: { onConflict: 'skip' } }
    const first = writer(given)
    await first.one.write(eventOf('a'), true, false)
    await first.drain()
    expect(route.there.get(0, bytes('a'))).toEqual(record('a', 'old'))
    const second = writer(given)
    await second.one.compare()
    await second.one.write(eventOf('a'), true, false)
    await second.drain()
    expect(route.there.get(0, bytes('a'))).toEqual(record('a'))
  })

  it('leaves alone what was at the target before, where that is asked for', async () => {
    route.there.set(record('a', 'old'))
    const target = new MemoryTarget(route.there)
    const targetKeys = new TargetKeys(new RecordFilter({}), renaming())
    const foreign = await ForeignKeys.find({ target, targetKeys, policy: 'skip', wrote: () => false })
    const { one, drain } = writer({ target, foreign, config: { onConflict: 'skip' } })
    await one.compare()
    await one.write(eventOf('a', 'b'), false, false)
    await drain()
    expect(route.there.get(0, bytes('a'))).toEqual(record('a', 'old'))
    expect([route.arrived, route.progress.skipped]).toEqual([['a', 'b'], 1])
  })
})

describe('a value in slices', () => {
  let read = false
  async function* slices(): AsyncGenerator<ValueSlice> {
    read = false
    yield { items: [bytes('a')] }
    yield { items: [bytes('b')] }
    read = true
  }
  const large = (key: string): SnapshotRecord => ({
    ...record(key),
    value: { form: 'sliced', type: 'list', slices: slices() },
  })

  it('is written before anything else of the source is read', async () => {
    const { one } = writer()
    await one.write(event(large('a')), true, false)
    expect([read, route.arrived, released]).toEqual([true, ['a'], 1])
  })

  it('that is left out is read all the same: what follows stands behind it', async () => {
    const { one } = writer({ filter: new RecordFilter({ exclude: ['a'] }) })
    await one.write(event(large('a')), true, false)
    expect([read, route.arrived, released]).toEqual([true, [], 1])
  })
})
