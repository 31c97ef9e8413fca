import { join } from 'node:path'
import { MemoryStore } from '@ferrite-migrate/conformance'
import type { ChangeRecord, KeyReader, SnapshotBatch } from '@ferrite-migrate/contracts'
import { beforeEach, describe, expect, it } from 'vitest'
import { NO_TRANSFORM, RecordFilter, UndoJournal } from '../../dist/index.js'
import { journaled, TargetRecorder } from '../../dist/rollback/journaled-target.js'
import { TargetKeys } from '../../dist/transform/target-keys.js'
import { command, directory, NOTHING, record, ScriptedTarget } from '../doubles.js'

const place = directory()
let made = 0
let before: MemoryStore
let journal: UndoJournal
let target: ScriptedTarget
let recorder: TargetRecorder
beforeEach(() => {
  before = new MemoryStore()
  journal = new UndoJournal(join(place, String(made++)), 'm', 1 << 30)
  target = new (class extends ScriptedTarget {
    override reader(): KeyReader {
      return {
        ...before.reader(),
        keys: async function* (filter) {
          for (const { db, key } of before.records.values()) if (filter?.dbs?.includes(db) ?? true) yield [{ db, key }]
        },
      }
    }
  })()
  const keys = new TargetKeys(new RecordFilter({ exclude: ['other:*'] }), NO_TRANSFORM)
  recorder = new TargetRecorder(target, journal, keys)
})
const kept = (): [number, string, string | null][] =>
  [...journal.pages()]
    .flat()
    .map(({ db, key, before: was }) => [
      db,
      String(key),
      was?.value.form === 'items' ? String(was.value.items[0]) : null,
    ])
const snapshot = (lane: number, ...keys: string[]): SnapshotBatch => ({
  ...{ kind: 'snapshot', lane, onConflict: 'replace' },
  records: keys.map((key) => record(key, 'new')),
})
const changes = (...records: ChangeRecord[]) => recorder.write({ kind: 'changes', lane: 0, records })

describe('what a target had', () => {
  it('is kept before it is written over or deleted, once', async () => {
    for (const key of ['a', 'b', 'untouched']) before.set(record(key, 'old'))
    const batch: SnapshotBatch = { ...snapshot(0, 'a', 'c'), deletes: [record('b')] }
    await recorder.write(batch)
    before.set(record('a', 'written by the migration'))
    await recorder.write(snapshot(0, 'a'))
    expect(kept()).toEqual([
      [0, 'a', 'old'],
      [0, 'b', 'old'],
      [0, 'c', null],
    ])
    expect([journal.created(0, record('c').key), journal.created(0, record('a').key)]).toEqual([true, false])
  })

  it('is kept for every key of a command', async () => {
    before.set(record('from', 'old'))
    await changes(command('RENAME', 'from', 'to'), command('MSET', 'x', '1', 'y', '2'), command('GET', 'read'))
    expect(kept()).toEqual([
      [0, 'from', 'old'],
      [0, 'to', null],
      [0, 'x', null],
      [0, 'y', null],
    ])
  })

  it('is kept as a whole before it is flushed, but for what is not this migration’s', async () => {
    for (const key of ['a', 'other:x']) before.set(record(key, 'old'))
    before.set(record('b', 'old', 0, 1))
    await changes(command('FLUSHDB'))
    expect(kept()).toEqual([[0, 'a', 'old']])
    await changes(command('FLUSHALL'))
    expect(kept()).toEqual([
      [0, 'a', 'old'],
      [1, 'b', 'old'],
    ])
  })

  it('is kept under its name in both databases before they are swapped', async () => {
    before.set(record('a', 'old'))
    before.set(record('b', 'old', 0, 1))
    before.set(record('c', 'old', 0, 2))
    await changes(command('SWAPDB', '0', '1'))
    expect(kept()).toEqual([
      [0, 'a', 'old'],
      [0, 'b', null],
      [1, 'a', null],
      [1, 'b', 'old'],
    ])
  })

  it('is on disk before the target gets the batch, and batches of a lane stay in order', async () => {
    const seen: string[] = []
    const watching = new ScriptedTarget(async (batch) => {
      const key = batch.kind === 'snapshot' ? batch.records[0].key : Buffer.alloc(0)
      seen.push(`${key} ${journal.has(0, key)}`)
      return NOTHING
    })
    const one = new TargetRecorder(watching, journal, new TargetKeys(new RecordFilter({}), NO_TRANSFORM))
    await Promise.all(['a', 'b', 'c', 'd'].map((key, i) => one.write(snapshot(i % 2, key))))
    expect(seen.filter((line) => /^[ac]/.test(line))).toEqual(['a true', 'c true'])
    expect(seen.filter((line) => /^[bd]/.test(line))).toEqual(['b true', 'd true'])
    await one.close()
  })

  it('that cannot be kept is not written over, and what comes later is no worse for it', async () => {
    journal.close()
    await expect(recorder.write(snapshot(0, 'a'))).rejects.toThrow()
    await expect(recorder.write(snapshot(0, 'b'))).rejects.toThrow()
    expect(target.taken).toEqual([])
  })

  it('is kept by a target that is otherwise as it was', async () => {
    const one = journaled(target, recorder)
    await one.write(snapshot(0, 'a'))
    expect(kept()).toEqual([[0, 'a', null]])
    expect(one.dialect).toBe(target.dialect)
    expect(await one.checkpoint('m', 's')).toBeUndefined()
  })
})
