import { MemoryStore, MemoryTarget } from '@ferrite-migrate/conformance'
import type { KeyReader, SnapshotRecord } from '@ferrite-migrate/contracts'
import { beforeEach, describe, expect, it } from 'vitest'
import {
  Comparison,
  type ComparisonOptions,
  type KeyDifference,
  keyRule,
  NO_TRANSFORM,
  RecordFilter,
  RecordTransform,
} from '../../dist/index.js'
import { bytes, names, record } from '../doubles.js'

let source: MemoryStore
let target: MemoryStore
let found: KeyDifference[]
beforeEach(() => {
  source = new MemoryStore()
  target = new MemoryStore()
  found = []
})
const compare = (given: Partial<ComparisonOptions> = {}) =>
  new Comparison({
    ...{ source: source.reader(), target: target.reader(), filter: new RecordFilter({}), transform: NO_TRANSFORM },
    ...{ ttlToleranceMs: 1000, rounds: 1, signal: new AbortController().signal, repair: null, deleteExtra: false },
    onDifference: (one) => found.push(one),
    ...given,
  }).run()
const hash = (key: string, ...list: string[]): SnapshotRecord => ({
  ...record(key),
  value: { form: 'items', type: 'hash', items: list.map(bytes) },
})
const prefixed = new RecordTransform({
  ...{ valueRules: [], script: null, template: null, dbs: new Map(), end: null, onError: 'fail' },
  keyRules: [keyRule({ type: 'prefix', value: 'new:' })],
})

describe('a deep comparison', () => {
  it('tells which parts of which values differ', async () => {
    source.set(record('same'))
    target.set(record('same'))
    source.set(hash('h', 'f', '1', 'g', '2'))
    target.set(hash('h', 'f', '1', 'g', '3'))
    source.set(record('lost', 'v', 1_900_000_000_000, 2))
    target.set(record('extra'))
    const report = await compare()
    expect(report).toEqual({
      ...{ compared: 4, different: 3, nothing: false, repaired: 0, stillDifferent: 0 },
      kinds: { value: 1, 'missing-target': 1, 'missing-source': 1 },
    })
    expect(found.find(({ kind }) => kind === 'value')).toMatchObject({
      ...{ db: 0, key: { text: 'h' }, type: { source: 'hash', target: 'hash' }, partCount: 1, repaired: false },
      parts: [{ part: 'field', name: { text: 'g' }, source: { text: '2' }, target: { text: '3' } }],
    })
    expect(found.find(({ kind }) => kind === 'missing-target')).toMatchObject({
      ...{ db: 2, type: { source: 'string', target: null }, parts: [] },
      expireAt: { source: '2030-03-17T17:46:40.000Z', target: null },
    })
  })

  it('mends what it finds, and looks again', async () => {
    source.set(hash('h', 'f', '1'))
    target.set(hash('h', 'f', '2'))
    source.set(record('lost'))
    target.set(record('extra'))
    const report = await compare({ repair: new MemoryTarget(target) })
    expect(report).toMatchObject({ different: 3, repaired: 2, stillDifferent: 0 })
    expect(
      found
        .filter(({ repaired }) => repaired)
        .map(({ key }) => key.text)
        .sort(),
    ).toEqual(['h', 'lost'])
    expect(names(target.records.values()).sort()).toEqual(['extra', 'h', 'lost'])
    await compare({ repair: new MemoryTarget(target), deleteExtra: true })
    expect(names(target.records.values()).sort()).toEqual(['h', 'lost'])
  })

  it('does not call mended what the target refused', async () => {
    source.set(record('a'))
    const refusing = new (class extends MemoryTarget {
      protected override async apply() {
        const failed = [{ db: 0, key: bytes('a'), reason: 'no', code: 'refused' as const }]
        return { written: 0, skipped: 0, deleted: 0, byteLength: 0, failed, notCarried: [] }
      }
    })(target)
    expect(await compare({ repair: refusing })).toMatchObject({ different: 1, repaired: 0 })
    expect(found[0].repaired).toBe(false)
  })

  it('mends under the names of the target', async () => {
    source.set(record('a', 'here'))
    target.set(record('new:a', 'there'))
    target.set(record('new:x'))
    const report = await compare({ transform: prefixed, repair: new MemoryTarget(target), deleteExtra: true })
    expect([report.repaired, report.kinds]).toEqual([2, { value: 1, 'missing-source': 1 }])
    expect([...target.records.values()]).toEqual([record('new:a', 'here')])
  })

  it('reads many differences a few at a time, of each database', async () => {
    for (let i = 0; i < 250; i++) source.set(record(`k${i}`, 'v', 0, i % 2))
    const asked: number[] = []
    const counting: KeyReader = {
      ...source.reader(),
      read: async (db, keys) => {
        asked.push(keys.length)
        return source.reader().read(db, keys)
      },
    }
    const told: number[] = []
    await compare({ source: counting, onProgress: ({ stage, done }) => stage === 'describe' && told.push(done) })
    expect([found.length, told]).toEqual([250, [100, 200, 250]])
    expect(asked.slice(-14)).toEqual([20, 20, 20, 20, 20, 20, 5, 20, 20, 20, 15, 20, 20, 10])
  })

  it('says that nothing was compared', async () => {
    source.set(record('a'))
    expect(await compare({ filter: new RecordFilter({ include: ['b'] }) })).toMatchObject({
      compared: 0,
      nothing: true,
    })
  })
})
