import { MemorySource, MemoryStore, MemoryTarget } from '@ferrite-migrate/conformance'
import { describe, expect, it } from 'vitest'
import { NO_TRANSFORM, RecordFilter } from '../../dist/index.js'
import { type FailedRun, rollBackFailed } from '../../dist/rollback/rollback-failed.js'
import { TargetKeys } from '../../dist/transform/target-keys.js'
import { record } from '../doubles.js'

class Failing extends MemoryTarget {
  readonly done: string[] = []

  override async forget(migration: string, shard: string): Promise<void> {
    this.done.push(`forget ${migration} ${shard}`)
  }

  async takeOver(migration: string): Promise<void> {
    this.done.push(`take over ${migration}`)
  }

  async release(migration: string): Promise<void> {
    this.done.push(`release ${migration}`)
  }
}

describe('a run that failed', () => {
  const source = new MemoryStore()
  source.set(record('a'))
  const run = (store: MemoryStore, notes: string[], given: Partial<FailedRun> = {}): FailedRun => ({
    ...{ id: 'm', source: new MemorySource(source), target: new Failing(store), journal: null, targetWasEmpty: true },
    ...{ keys: new TargetKeys(new RecordFilter({}), NO_TRANSFORM), transform: NO_TRANSFORM },
    onNote: (type, text) => notes.push(`${type}: ${text}`),
    ...given,
  })

  it('is undone, and leaves nothing of its own at the target', async () => {
    const store = new MemoryStore()
    store.set(record('a'))
    const notes: string[] = []
    const target = new Failing(store)
    expect(await rollBackFailed(run(store, notes, { target }))).toMatchObject({ removed: 1 })
    expect([store.records.size, target.done]).toEqual([0, ['take over m', 'forget m 0', 'release m']])
    expect(notes).toEqual(['rolled-back: 1 keys removed, 0 restored, 0 left because others may have written them'])
  })

  it('cannot be undone where nobody knows what was there, or whose it is', async () => {
    const store = new MemoryStore()
    store.set(record('a'))
    const notes: string[] = []
    expect(await rollBackFailed(run(store, notes, { targetWasEmpty: false }))).toBeNull()
    expect(await rollBackFailed(run(store, notes, { source: null }))).toBeNull()
    expect(notes[0]).toMatch(/^rollback-impossible: there is no undo journal/)
    expect(notes[1]).toMatch(/^rollback-failed: .*run ferrite-migrate rollback --id m$/)
    expect(store.records.size).toBe(1)
  })
})
