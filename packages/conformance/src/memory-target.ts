import type {
  ChangeBatch,
  Checkpoint,
  Dialect,
  Failure,
  KeyReader,
  SnapshotBatch,
  SnapshotRecord,
  Target,
  WriteResult,
} from '@ferrite-migrate/contracts'
import { copiedRecord } from './copied-event.js'
import { runCommand } from './memory-commands.js'
import { MemoryStore } from './memory-store.js'

const nothing: WriteResult = { written: 0, skipped: 0, deleted: 0, byteLength: 0, failed: [], notCarried: [] }

/** A target over memory that keeps every rule; it is no server, and plants nothing. */
export class MemoryTarget implements Target {
  readonly dialect: Dialect = { product: 'memory', rendering: 'typed', replay: true, replayRefusals: [], facts: {} }
  protected readonly store: MemoryStore
  protected readonly kept = new Map<string, Checkpoint>()
  private turn: Promise<unknown> = Promise.resolve()

  constructor(store: MemoryStore = new MemoryStore()) {
    this.store = store
  }

  /** One batch after the other, whatever its lane. */
  write(batch: SnapshotBatch | ChangeBatch, checkpoint?: Checkpoint): Promise<WriteResult> {
    const work = this.turn.then(() => (batch.kind === 'changes' ? this.changes(batch, checkpoint) : this.apply(batch)))
    this.turn = work.catch(() => undefined)
    return work
  }

  /** Commands and checkpoint are in one step: nothing is awaited between them. */
  protected async changes({ records }: ChangeBatch, checkpoint?: Checkpoint): Promise<WriteResult> {
    const failed: Failure[] = []
    for (const record of records) {
      const { db, name, argv } = record
      const own = { ...record, argv: argv.map((argument) => Buffer.from(argument)) }
      if (!runCommand(this.store, own))
        failed.push({ db, key: own.argv[1] ?? null, reason: `${name} is not known`, code: 'refused' })
    }
    if (checkpoint !== undefined) this.keep(checkpoint)
    return { ...nothing, written: records.length - failed.length, failed }
  }

  protected keep(checkpoint: Checkpoint): void {
    this.kept.set(`${checkpoint.migration}\n${checkpoint.shard}`, checkpoint)
  }

  protected async apply({ records, deletes = [], onConflict }: SnapshotBatch): Promise<WriteResult> {
    // All slices are read before anything is written: a value is there as a whole or not at all.
    const whole: SnapshotRecord[] = []
    for (const record of records) whole.push(await copiedRecord(record))
    const failed: Failure[] = []
    let written = 0
    let skipped = 0
    for (const { db, key } of deletes) this.store.delete(db, key)
    for (const record of whole) {
      const { db, key, expireAt } = record
      const there = this.store.get(db, key) !== null
      if (there && onConflict === 'skip') skipped++
      else if (there && onConflict === 'fail') failed.push({ db, key, reason: 'it is there', code: 'conflict' })
      else if (expireAt > 0 && expireAt <= Date.now()) {
        this.store.delete(db, key)
        skipped++
      } else {
        this.store.set(record)
        written++
      }
    }
    return { ...nothing, written, skipped, deleted: deletes.length, failed }
  }

  async checkpoint(migration: string, shard: string): Promise<Checkpoint | undefined> {
    return this.kept.get(`${migration}\n${shard}`)
  }

  async forget(migration: string, shard: string): Promise<void> {
    this.kept.delete(`${migration}\n${shard}`)
  }

  reader(): KeyReader {
    return this.store.reader()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    // Memory holds nothing open.
  }
}
