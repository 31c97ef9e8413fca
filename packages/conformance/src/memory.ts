import {
  type Checkpoint,
  type Dialect,
  type DirtyKey,
  type Failure,
  type KeyReader,
  MigrateError,
  type SnapshotBatch,
  type SnapshotRecord,
  type Source,
  type SourceEvent,
  type Target,
  type WriteResult,
} from '@ferrite-migrate/contracts'
import { digestOf } from './samples.js'

/** Keys in memory: the simplest thing that a source or a target can stand on. */
export class MemoryStore {
  readonly records = new Map<string, SnapshotRecord>()

  static name(db: number, key: Buffer): string {
    return `${db}:${key.toString('latin1')}`
  }

  set(record: SnapshotRecord): void {
    this.records.set(MemoryStore.name(record.db, record.key), record)
  }

  get(db: number, key: Buffer): SnapshotRecord | null {
    return this.records.get(MemoryStore.name(db, key)) ?? null
  }

  reader(): KeyReader {
    const { records } = this
    const get = (db: number, key: Buffer): SnapshotRecord | null => this.get(db, key)
    return {
      async *keys() {
        for (const { db, key } of records.values()) yield [{ db, key }]
      },
      size: async () => new Map([[0, records.size]]),
      read: async (db, keys) => keys.map((key) => get(db, key)),
      digest: async (db, keys) =>
        keys.map((key) => (get(db, key) === null ? null : Buffer.from(digestOf(get(db, key)!), 'hex'))),
      expiries: async (db, keys) => keys.map((key) => get(db, key)?.expireAt ?? -1),
      exist: async (db, keys) => keys.map((key) => get(db, key) !== null),
      close: async () => undefined,
    }
  }
}

/** A source over memory; `changed` makes a key dirty. */
export class MemorySource implements Source {
  readonly capabilities = { changes: 'lossy', resume: 'none' } as const
  readonly description = { product: 'memory' }
  readonly shards = [
    {
      id: '0',
      read: (request: { signal: AbortSignal; changes: boolean }) => this.events(request.signal, request.changes),
    },
  ]
  private readonly store: MemoryStore
  private readonly dirty: DirtyKey[] = []
  private wake: (() => void) | null = null

  constructor(store: MemoryStore) {
    this.store = store
  }

  changed(record: SnapshotRecord): void {
    this.store.set(record)
    this.dirty.push({ db: record.db, key: record.key })
    this.wake?.()
  }

  reader(): KeyReader {
    return this.store.reader()
  }

  async *events(signal: AbortSignal, changes: boolean): AsyncGenerator<SourceEvent> {
    yield { kind: 'sync', mode: 'full', keys: this.store.records.size }
    const records = [...this.store.records.values()]
    if (records.length > 0) yield { kind: 'snapshot', records, byteLength: 0 }
    yield { kind: 'snapshot-end' }
    while (changes && !signal.aborted) {
      if (this.dirty.length > 0) yield { kind: 'dirty', keys: this.dirty.splice(0) }
      else
        await new Promise<void>((resolve) => {
          this.wake = resolve
          signal.addEventListener('abort', () => resolve(), { once: true })
        })
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    // Memory holds nothing open.
  }
}

/** A target over memory. */
export class MemoryTarget implements Target {
  readonly dialect: Dialect = {
    product: 'memory',
    rendering: 'typed',
    replay: false,
    replayRefusals: ['memory runs no commands'],
    facts: {},
  }
  protected readonly store: MemoryStore
  private lane: Promise<unknown> = Promise.resolve()

  constructor(store: MemoryStore = new MemoryStore()) {
    this.store = store
  }

  write(batch: Parameters<Target['write']>[0]): Promise<WriteResult> {
    if (batch.kind === 'changes')
      throw new MigrateError('FM_CONTRACT', 'memory takes no commands', 'Use --apply state.')
    const work = this.lane.then(() => this.apply(batch))
    this.lane = work.catch(() => undefined)
    return work
  }

  protected async apply(batch: SnapshotBatch): Promise<WriteResult> {
    const failed: Failure[] = []
    let written = 0
    let skipped = 0
    for (const { db, key } of batch.deletes ?? []) this.store.records.delete(MemoryStore.name(db, key))
    for (const record of batch.records) {
      const there = this.store.get(record.db, record.key) !== null
      if (record.expireAt > 0 && record.expireAt <= Date.now()) {
        this.store.records.delete(MemoryStore.name(record.db, record.key))
        skipped++
      } else if (there && batch.onConflict === 'skip') skipped++
      else if (there && batch.onConflict === 'fail')
        failed.push({ db: record.db, key: record.key, reason: 'it is there', code: 'conflict' })
      else {
        this.store.set(await whole(record))
        written++
      }
    }
    return { written, skipped, deleted: batch.deletes?.length ?? 0, byteLength: 0, failed, notCarried: [] }
  }

  async checkpoint(): Promise<Checkpoint | undefined> {
    return undefined
  }

  async forget(_migration: string, _shard: string): Promise<void> {
    // Memory keeps no checkpoints.
  }

  reader(): KeyReader {
    return this.store.reader()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    // Memory holds nothing open.
  }
}

async function whole(record: SnapshotRecord): Promise<SnapshotRecord> {
  const { value } = record
  if (value.form !== 'sliced' || value.type === 'stream') return record
  const items: Buffer[] = []
  for await (const slice of value.slices) for (const item of slice.items) items.push(item)
  return {
    ...record,
    value: { form: 'items', type: value.type, items: value.type === 'string' ? [Buffer.concat(items)] : items },
  }
}
