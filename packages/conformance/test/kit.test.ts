import type { SnapshotBatch, SnapshotRecord, SourceEvent, WriteResult } from '@ferrite-migrate/contracts'
import { describe, expect, it } from 'vitest'
import {
  MemorySource,
  MemoryStore,
  MemoryTarget,
  type SourceSubject,
  sampleRecords,
  sourceChecks,
  targetChecks,
  testSource,
  testTarget,
} from '../dist/index.js'

function subject(make: (store: MemoryStore) => MemorySource = (store) => new MemorySource(store)): SourceSubject {
  const store = new MemoryStore()
  const expected = sampleRecords()
  for (const record of expected) store.set(record)
  const source = make(store)
  const text = (key: string, value: string): SnapshotRecord => ({
    db: 0,
    key: Buffer.from(key),
    value: { form: 'items', type: 'string', items: [Buffer.from(value)] },
    expireAt: 0,
  })
  return { source, expected, change: async (key, value) => source.changed(text(key, value)) }
}

testSource({ describe, it }, 'memory', async () => subject())
testTarget({ describe, it }, 'memory', async () => ({ target: new MemoryTarget() }))

/** A source whose events are changed on the way. */
function broken(change: (event: SourceEvent) => SourceEvent | null): SourceSubject {
  class Broken extends MemorySource {
    override async *events(signal: AbortSignal, changes: boolean): AsyncGenerator<SourceEvent> {
      for await (const event of super.events(signal, changes)) {
        const changed = change(event)
        if (changed !== null) yield changed
      }
    }
  }
  return subject((store) => new Broken(store))
}

const alter =
  (change: (record: SnapshotRecord) => SnapshotRecord) =>
  (event: SourceEvent): SourceEvent =>
    event.kind === 'snapshot' ? { ...event, records: event.records.map(change) } : event

const BROKEN_SOURCES: Record<string, () => SourceSubject> = {
  'starts with a sync event and ends a snapshot with snapshot-end': () =>
    broken((event) => (event.kind === 'snapshot-end' ? null : event)),
  'gives every key': () =>
    broken((event) => (event.kind === 'snapshot' ? { ...event, records: event.records.slice(1) } : event)),
  'gives no key that is not there': () =>
    broken(
      alter((record) => (record.key.toString() === 'list' ? { ...record, key: Buffer.from('invented') } : record)),
    ),
  'gives values byte for byte': () =>
    broken(
      alter((record) => ({
        ...record,
        value: { form: 'items', type: 'string', items: [Buffer.from(record.key.toString('utf8'))] },
      })),
    ),
  'gives expiries as absolute times': () =>
    broken(alter((record) => ({ ...record, expireAt: record.expireAt > 0 ? 3_600_000 : 0 }))),
  'ends without an error when it is aborted': () =>
    broken((event) => {
      if (event.kind !== 'sync') throw new Error('aborted')
      return event
    }),
  'gives changes after the snapshot': () => ({
    ...broken((event) => (event.kind === 'dirty' ? null : event)),
    change: async () => undefined,
  }),
  'reads single keys, and null for those that are not there': () =>
    subject(
      (store) =>
        new (class extends MemorySource {
          override reader() {
            return { ...super.reader(), read: async () => sampleRecords().concat(sampleRecords()) }
          }
        })(store),
    ),
}

class BrokenTarget extends MemoryTarget {
  private readonly change: (batch: SnapshotBatch) => SnapshotBatch
  constructor(change: (batch: SnapshotBatch) => SnapshotBatch) {
    super()
    this.change = change
  }
  protected override apply(batch: SnapshotBatch): Promise<WriteResult> {
    return super.apply(this.change(batch))
  }
}

const each =
  (change: (record: SnapshotRecord) => SnapshotRecord) =>
  (batch: SnapshotBatch): SnapshotBatch => ({ ...batch, records: batch.records.map(change) })
const BROKEN_TARGETS: Record<string, () => MemoryTarget> = {
  'keeps values byte for byte': () =>
    new BrokenTarget(
      each((record) =>
        record.value.form === 'items' && record.value.type === 'string'
          ? { ...record, value: { ...record.value, items: [Buffer.from(record.value.items[0].toString('utf8'))] } }
          : record,
      ),
    ),
  'keeps expiries': () => new BrokenTarget(each((record) => ({ ...record, expireAt: 0 }))),
  'drops what has expired': () =>
    new BrokenTarget(each((record) => (record.expireAt < Date.now() ? { ...record, expireAt: 0 } : record))),
  'replaces, skips or refuses keys that are there': () =>
    new BrokenTarget((batch) => ({ ...batch, onConflict: 'replace' })),
  'replaces a value of another type whole': () => new BrokenTarget((batch) => ({ ...batch, onConflict: 'skip' })),
  'applies the batches of a lane in order': () =>
    new (class extends MemoryTarget {
      private calls = 0
      override write(batch: Parameters<MemoryTarget['write']>[0]) {
        return new Promise<WriteResult>((resolve) =>
          setTimeout(() => resolve(super.apply(batch as SnapshotBatch)), 200 - 4 * this.calls++),
        )
      }
    })(),
  deletes: () => new BrokenTarget((batch) => ({ ...batch, deletes: [] })),
  'writes sliced values whole': () =>
    new BrokenTarget(
      each((record) =>
        record.value.form === 'sliced' ? { ...record, value: { form: 'items', type: 'list', items: [] } } : record,
      ),
    ),
}

describe('deliberately broken adapters fail the check named after their fault', () => {
  it.each(Object.entries(BROKEN_SOURCES))(
    'source: %s',
    async (name, make) => {
      await expect(sourceChecks.find((check) => check.name === name)!.run(make())).rejects.toThrow()
    },
    30_000,
  )
  it.each(Object.entries(BROKEN_TARGETS))('target: %s', async (name, make) => {
    await expect(targetChecks.find((check) => check.name === name)!.run({ target: make() })).rejects.toThrow()
  })
})
