import { join } from 'node:path'
import { MemoryStore, MemoryTarget } from '@ferrite-migrate/conformance'
import type { SnapshotRecord } from '@ferrite-migrate/contracts'
import { beforeEach, describe, expect, it } from 'vitest'
import { keyRule, NO_TRANSFORM, RecordFilter, RecordTransform, Rollback, UndoJournal } from '../../dist/index.js'
import type { RollbackOptions } from '../../dist/rollback/rollback.js'
import { TargetKeys } from '../../dist/transform/target-keys.js'
import { bytes, directory, record } from '../doubles.js'

const place = directory()
let made = 0
let source: MemoryStore
let store: MemoryStore
beforeEach(() => {
  source = new MemoryStore()
  store = new MemoryStore()
})
const filter = new RecordFilter({ exclude: ['other:*'] })
const undo = (given: Partial<RollbackOptions> = {}) => {
  const transform = given.transform ?? NO_TRANSFORM
  return new Rollback({
    ...{ target: new MemoryTarget(store), source: source.reader(), journal: null, transform },
    ...{ completed: false, force: false, dryRun: false, signal: new AbortController().signal },
    keys: new TargetKeys(filter, transform),
    ...given,
  }).run()
}
/** A journal in which the keys are as they were before. */
function journal(...before: (readonly [key: string, record: SnapshotRecord | null])[]): UndoJournal {
  const one = new UndoJournal(join(place, String(made++)), 'm', 1 << 30)
  one.keep(before.map(([key, record]) => ({ db: 0, key: bytes(key), before: record })))
  return one
}
const held = (): SnapshotRecord[] => [...store.records.values()]

describe('a rollback of a target that was empty', () => {
  it('removes what the migration wrote, and nothing that the source never had', async () => {
    source.set(record('a'))
    source.set(record('b', 'new'))
    for (const one of [record('a'), record('b', 'old'), record('theirs'), record('other:x')]) store.set(one)
    expect(await undo()).toEqual({
      ...{ dryRun: false, removed: 2, restored: 0, unchanged: 0, kept: 1, keptExamples: ['theirs'], failed: 0 },
      interrupted: false,
    })
    expect(held()).toEqual([record('theirs'), record('other:x')])
  })

  it('leaves what others have written since it was handed over', async () => {
    source.set(record('a'))
    source.set(record('b', 'v'))
    store.set(record('a'))
    store.set(record('b', 'theirs'))
    expect(await undo({ completed: true })).toMatchObject({ removed: 1, kept: 1, keptExamples: ['b'] })
    expect(held()).toEqual([record('b', 'theirs')])
  })

  it('removes everything by force, and needs no source for that', async () => {
    store.set(record('a'))
    store.set(record('theirs'))
    await expect(undo({ source: null })).rejects.toMatchObject({ code: 'FM_ROLLBACK_BLIND' })
    expect(held()).toHaveLength(2)
    expect(await undo({ source: null, force: true })).toMatchObject({ removed: 2, kept: 0 })
    expect(held()).toEqual([])
  })

  it('only says what it would do', async () => {
    source.set(record('a'))
    store.set(record('a'))
    expect(await undo({ dryRun: true })).toMatchObject({ dryRun: true, removed: 1 })
    expect(held()).toEqual([record('a')])
  })

  it('finds keys by the names that they got', async () => {
    const transform = new RecordTransform({
      ...{ valueRules: [], script: null, template: null, dbs: new Map(), end: null, onError: 'fail' },
      keyRules: [keyRule({ type: 'prefix', value: 'new:' })],
    })
    source.set(record('a'))
    for (const key of ['new:a', 'new:theirs', 'a']) store.set(record(key))
    expect(await undo({ transform })).toMatchObject({ removed: 1, kept: 1, keptExamples: ['new:theirs'] })
    expect(held()).toEqual([record('new:theirs'), record('a')])
  })

  it('writes nothing once another process writes for the migration', async () => {
    source.set(record('a'))
    store.set(record('a'))
    const taken = new Error('taken over')
    const admit = (): never => {
      throw taken
    }
    await expect(undo({ admit })).rejects.toBe(taken)
    expect(held()).toEqual([record('a')])
  })

  it('that is ended says so, and tells how far it is', async () => {
    for (const key of ['a', 'b']) {
      source.set(record(key))
      store.set(record(key))
    }
    const stop = new AbortController()
    const told: [number, number | null][] = []
    const report = await undo({
      signal: stop.signal,
      onProgress: (done, total) => {
        told.push([done, total])
        stop.abort()
      },
    })
    expect([report.interrupted, report.removed, told, held()]).toEqual([true, 1, [[1, 2]], [record('b')]])
  })
})

describe('a rollback by a journal', () => {
  it('gives back what was there, value and end, and forgets what is settled', async () => {
    const end = Date.now() + 60_000
    const one = journal(
      ['changed', record('changed', 'old', end)],
      ['made', null],
      ['deleted', record('deleted', 'old')],
    )
    source.set(record('changed', 'new'))
    source.set(record('made'))
    store.set(record('changed', 'new'))
    store.set(record('made'))
    store.set(record('bystander'))
    expect(await undo({ journal: one })).toMatchObject({ removed: 1, restored: 2, kept: 0 })
    expect(
      held()
        .map(({ key, expireAt }) => [String(key), expireAt])
        .sort(),
    ).toEqual([
      ['bystander', 0],
      ['changed', end],
      ['deleted', 0],
    ])
    expect([...one.pages()]).toEqual([])
    // Run again there is nothing to do.
    expect(await undo({ journal: one })).toMatchObject({ removed: 0, restored: 0, unchanged: 0 })
    one.close()
  })

  it('leaves a key alone that is as before, or somebody else’s by now, and keeps its entry', async () => {
    const one = journal(['same', record('same')], ['theirs', record('theirs', 'old')])
    store.set(record('same'))
    store.set(record('theirs', 'changed since'))
    expect(await undo({ journal: one })).toMatchObject({ unchanged: 1, kept: 1, restored: 0 })
    expect([...one.pages()].flat().map(({ key }) => String(key))).toEqual(['theirs'])
    expect(await undo({ journal: one, force: true })).toMatchObject({ restored: 1, kept: 0 })
    expect(store.get(0, bytes('theirs'))).toEqual(record('theirs', 'old'))
    one.close()
  })

  it('keeps the entries of what the target refused', async () => {
    const one = journal(['a', record('a', 'old')])
    source.set(record('a', 'new'))
    store.set(record('a', 'new'))
    const refusing = new (class extends MemoryTarget {
      protected override async apply() {
        const failed = [{ db: 0, key: bytes('a'), reason: 'no', code: 'refused' as const }]
        return { written: 0, skipped: 0, deleted: 0, byteLength: 0, failed, notCarried: [] }
      }
    })(store)
    expect(await undo({ journal: one, target: refusing })).toMatchObject({ restored: 0, failed: 1 })
    expect([...one.pages()].flat()).toHaveLength(1)
    one.close()
  })
})
