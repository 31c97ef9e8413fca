import {
  type ChangeRecord,
  changeOf,
  type DirtyKey,
  type KeyReader,
  type Lag,
  MigrateError,
  type Position,
  type ReadAt,
  type ReadRequest,
  type Shard,
  type SnapshotRecord,
  type Source,
  type SourceCapabilities,
  type SourceEvent,
} from '@ferrite-migrate/contracts'
import { runCommand } from './memory-commands.js'
import type { MemoryStore } from './memory-store.js'
import { elementsOf, slicedRecord } from './sliced-record.js'

/** What happened in one step: commands that belong together, or keys that are to be read again. */
type Happening =
  | { readonly kind: 'changes'; readonly records: readonly ChangeRecord[] }
  | { readonly kind: 'dirty'; readonly keys: readonly DirtyKey[] }

/** Where a reading stands. */
interface Place {
  /** A source that starts over counts anew. */
  readonly epoch: number
  /** So much of the log belongs to what was read. */
  readonly log: number
  /** The last name of the snapshot that was read; null = all of it was. */
  readonly last: string | null
}

function formatPlace({ epoch, log, last }: Place): Position {
  return `memory:${epoch}:${log}:${last === null ? 'end' : `${Buffer.from(last, 'latin1').toString('hex')}.`}`
}

function parsePlace(position: Position): Place {
  const match = /^memory:(\d+):(\d+):(?:end|([0-9a-f]*)\.)$/.exec(position)
  if (match === null)
    throw new MigrateError(
      'FM_POSITION_INVALID',
      `"${position.slice(0, 80)}" is no position of this source`,
      'Start again without it.',
    )
  const [, epoch, log, last] = match
  return {
    epoch: Number(epoch),
    log: Number(log),
    last: last === undefined ? null : Buffer.from(last, 'hex').toString('latin1'),
  }
}

export interface MemorySourceOptions {
  /** What its shard is called; default 0. */
  readonly id?: string
  /** Records of an event; default 4. */
  readonly batchSize?: number
  /** Values of more elements come in slices; default none. */
  readonly sliceLimit?: number
}

/** A source over memory that keeps every rule: a snapshot in the order of names, and a log of what happened since. */
export class MemorySource implements Source {
  readonly capabilities: SourceCapabilities = { changes: 'lossless', resume: 'both', uniqueKeys: true }
  readonly description = { product: 'memory' }
  readonly shards: readonly Shard[]
  protected readonly id: string
  protected readonly store: MemoryStore
  protected readonly batchSize: number
  protected readonly sliceLimit: number
  private log: Happening[] = []
  private epoch = 0
  private gone = false
  /** Lengths of the log at which an event must end, since values were read there. */
  private readonly marks = new Set<number>()
  private readonly sleepers = new Set<() => void>()

  constructor(
    store: MemoryStore,
    { id = '0', batchSize = 4, sliceLimit = Number.POSITIVE_INFINITY }: MemorySourceOptions = {},
  ) {
    this.store = store
    this.id = id
    this.batchSize = batchSize
    this.sliceLimit = sliceLimit
    this.shards = [this.shard()]
  }

  protected shard(): Shard {
    return {
      id: this.id,
      read: (request) => this.read(request),
      acknowledge: (position) => this.acknowledge(position),
      readAt: (keys) => this.readAt(keys),
      covers: (position, mark) => this.covers(position, mark),
      lag: (applied) => this.lag(applied),
      owns: (db, key) => this.owns(db, key),
    }
  }

  /** Writes a key: a string by its command, anything else as a key that is to be read again. */
  changed(record: SnapshotRecord): void {
    const { db, key, value, expireAt } = record
    if (value.form === 'items' && value.type === 'string') {
      const end = expireAt === 0 ? [] : ['PXAT', String(expireAt)]
      this.run(changeOf(db, ['SET', key, value.items[0], ...end]))
      return
    }
    this.store.set(record)
    this.append({ kind: 'dirty', keys: [{ db, key }] })
  }

  /** Runs commands in one step, as a MULTI/EXEC does. */
  run(...records: readonly ChangeRecord[]): void {
    for (const record of records)
      if (!runCommand(this.store, record)) throw new Error(`memory does not know ${record.name}`)
    this.append({ kind: 'changes', records })
  }

  /** Forgets what happened: whoever reads has to begin again. */
  startOver(): void {
    this.epoch++
    this.log = []
    this.marks.clear()
    this.wake()
  }

  /** Nothing more comes of it: each reading ends by itself. */
  end(): void {
    this.gone = true
    this.wake()
  }

  reader(): KeyReader {
    return this.store.reader()
  }

  async *read(request: ReadRequest): AsyncGenerator<SourceEvent> {
    let from = request.from === undefined ? null : parsePlace(request.from)
    while (!request.signal.aborted && !this.gone) {
      // What happened before the source started over is not known any more.
      if (from?.epoch !== this.epoch) from = null
      const { epoch } = this
      const start: Place = from ?? { epoch, log: this.log.length, last: '' }
      yield { kind: 'sync', mode: from === null ? 'full' : 'partial', keys: this.store.records.size }
      if (start.last !== null) yield* this.snapshot(start, request)
      if (!request.changes) return
      yield* this.follow(start, request.signal)
      from = null
    }
  }

  /** The keys behind the place; values are as they are now, and the log from that place leads to the same. */
  protected async *snapshot(start: Place, { signal, wants }: ReadRequest): AsyncGenerator<SourceEvent> {
    const names = [...this.store.records.keys()].sort().filter((name) => name > (start.last ?? ''))
    for (let at = 0; at < names.length; at += this.batchSize) {
      if (signal.aborted || this.gone || this.epoch !== start.epoch) return
      const page = names.slice(at, at + this.batchSize)
      const all = page.flatMap((name) => this.store.records.get(name) ?? [])
      const there = all.filter(({ db, key }) => this.owns(db, key))
      const records = there.filter(({ db, key }) => wants?.(db, key) ?? true)
      const position = formatPlace({ ...start, last: page.at(-1) ?? null })
      // A value in slices is alone in its event; the position belongs to what comes last of the page.
      const large = records.filter((record) => elementsOf(record) > this.sliceLimit)
      for (const record of large)
        yield { kind: 'snapshot', records: [slicedRecord(record, this.sliceLimit)], byteLength: 0 }
      const small = records.filter((record) => !large.includes(record))
      yield { kind: 'snapshot', records: small, byteLength: 0, passed: there.length - records.length, position }
    }
    if (!signal.aborted && !this.gone && this.epoch === start.epoch)
      yield { kind: 'snapshot-end', position: formatPlace({ ...start, last: null }) }
  }

  protected async *follow(start: Place, signal: AbortSignal): AsyncGenerator<SourceEvent> {
    let { log } = start
    while (!signal.aborted && !this.gone && this.epoch === start.epoch) {
      const [first] = this.log.slice(log, log + 1)
      if (first === undefined) {
        await this.sleep(signal)
        continue
      }
      if (first.kind === 'dirty') {
        log++
        yield { kind: 'dirty', keys: first.keys, position: formatPlace({ ...start, log, last: null }) }
        continue
      }
      const records: ChangeRecord[] = []
      do {
        const next = this.log[log]
        if (next.kind !== 'changes') break
        // Whoever applies the changes in batches must see that everything before is gone.
        if (records.length > 0 && next.records[0]?.name === 'FLUSHALL') break
        records.push(...next.records)
        log++
      } while (log < this.log.length && records.length < this.batchSize && !this.marks.has(log))
      this.marks.delete(log)
      yield { kind: 'changes', records, byteLength: 0, position: formatPlace({ ...start, log, last: null }) }
    }
  }

  /** A shard that is alone owns every key. */
  protected owns(_db: number, _key: Buffer): boolean {
    return true
  }

  /** Memory keeps its log: there is nothing that it could throw away now. */
  protected acknowledge(position: Position): void {
    parsePlace(position)
  }

  protected async readAt(keys: readonly DirtyKey[]): Promise<ReadAt> {
    this.marks.add(this.log.length)
    return {
      records: keys.map(({ db, key }) => this.store.get(db, key)),
      position: formatPlace({ epoch: this.epoch, log: this.log.length, last: null }),
    }
  }

  protected covers(position: Position, mark: Position): boolean {
    const [a, b] = [parsePlace(position), parsePlace(mark)]
    if (a.epoch !== b.epoch) return a.epoch > b.epoch
    if (a.log !== b.log) return a.log > b.log
    return a.last === null || (b.last !== null && a.last >= b.last)
  }

  protected async lag(applied: Position | undefined): Promise<Lag> {
    return applied === undefined ? {} : { keys: Math.max(0, this.log.length - parsePlace(applied).log) }
  }

  private append(happening: Happening): void {
    this.log.push(happening)
    this.wake()
  }

  protected wake(): void {
    for (const wake of this.sleepers) wake()
    this.sleepers.clear()
  }

  /** Until something happens, or nobody reads any more. */
  protected async sleep(signal: AbortSignal): Promise<void> {
    await new Promise<void>((resolve) => {
      this.sleepers.add(resolve)
      signal.addEventListener('abort', () => resolve(), { once: true })
    })
  }

  async [Symbol.asyncDispose](): Promise<void> {
    // Memory holds nothing open.
  }
}
