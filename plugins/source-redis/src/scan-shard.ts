import { setTimeout as sleep } from 'node:timers/promises'
import {
  type DirtyKey,
  type KeyFilter,
  type KeyReader,
  type Lag,
  MigrateError,
  type ReadRequest,
  type Shard,
  type SnapshotRecord,
  type SourceEvent,
} from '@ferrite-migrate/contracts'
import { keyTypeOf } from '@ferrite-migrate/protocol'
import { retrying, type ScanPlace } from '@ferrite-migrate/redis'
import type { ChangeFeed } from './change-feed.js'

/** Reads the keys that it lists. */
export interface ScanningReader extends KeyReader {
  /** All keys; `next` is where another scan of the same server goes on behind them, null = nobody can say. */
  scan(
    filter: KeyFilter,
    from?: ScanPlace,
  ): AsyncIterable<{ readonly keys: readonly DirtyKey[]; readonly next: ScanPlace | null }>
  /** Keys in groups whose values take about so many bytes at most. */
  byBytes(db: number, keys: readonly Buffer[], most: number): Promise<readonly (readonly Buffer[])[]>
}

export interface ScanShardOptions {
  readonly batchSize: number
  readonly sweepIntervalMs: number
  /** Time between two comparisons of everything, where there are no events; 0 = there are. */
  readonly pollIntervalMs: number
  readonly retryMs: number
  /** Cursors of a scan are good for the next one. */
  readonly lasting: boolean
  /** Makes a reader of the source with connections of its own. */
  reader(): ScanningReader
  /** What tells of changes. */
  feed(signal: AbortSignal): ChangeFeed
}

const CHECK_MS = 1000
const GATHER_MS = 5
/** Values that are held at once, by their memory at the source. */
const PAGE_BYTES = 32 << 20
/** Streams read again per second for their groups. */
const STREAMS_PER_CHECK = 200
/** So many keys may vanish in a second without their own events before a flush is suspected. */
const UNEXPLAINED = 10

/** A server, or all of a cluster, read by SCAN, DUMP and keyspace notifications: for those that refuse PSYNC. */
export class ScanShard implements Shard {
  readonly id: string
  private readonly options: ScanShardOptions
  private feed: ChangeFeed | null = null
  private busyKeys = 0
  private polledAt = 0

  constructor(id: string, options: ScanShardOptions) {
    this.id = id
    this.options = options
  }

  async lag(): Promise<Lag> {
    if (this.polledAt > 0) return { keys: 0, ms: Date.now() - this.polledAt }
    // Events that never come would look like a source at rest.
    if (this.feed === null || !this.feed.proven) return {}
    return { keys: this.feed.pending + this.busyKeys }
  }

  async *read(request: ReadRequest): AsyncGenerator<SourceEvent> {
    const { pollIntervalMs, lasting } = this.options
    const reader = this.options.reader()
    const feed = request.changes && pollIntervalMs === 0 ? this.options.feed(request.signal) : null
    this.feed = feed
    try {
      // The subscription stands before the scan starts, so that no change falls between.
      // Who begins again after the target was lost may do so in the middle of a failover of the source.
      if (feed !== null) await retrying(() => feed.start(), { timeoutMs: this.options.retryMs, signal: request.signal })
      const startedAt = Date.now()
      // A cursor says nothing to another server.
      const anew = request.changes || !lasting
      const from = anew || request.from === undefined ? undefined : parsePlace(request.from)
      yield* this.scan(reader, request, from === undefined ? 'full' : 'partial', from)
      if (request.signal.aborted) return
      if (feed !== null) yield* this.follow(feed, reader, request)
      else if (request.changes) {
        this.polledAt = startedAt
        yield* this.poll(reader, request)
      }
    } finally {
      this.feed = null
      this.polledAt = 0
      await feed?.close()
      await reader.close()
    }
  }

  /** Without events only comparing everything again tells what changed. */
  private async *poll(reader: ScanningReader, request: ReadRequest): AsyncGenerator<SourceEvent> {
    const { pollIntervalMs } = this.options
    while (!request.signal.aborted) {
      const startedAt = Date.now()
      yield* this.scan(reader, request, 'sweep')
      this.polledAt = startedAt
      await sleep(pollIntervalMs, undefined, { signal: request.signal }).catch(() => undefined)
    }
  }

  private async *scan(
    reader: ScanningReader,
    { signal, pace, wants }: ReadRequest,
    mode: 'full' | 'partial' | 'sweep',
    from?: ScanPlace,
  ): AsyncGenerator<SourceEvent> {
    const retry = <T>(attempt: () => Promise<T>): Promise<T> =>
      retrying(attempt, { timeoutMs: this.options.retryMs, signal })
    const sizes = await retry(() => reader.size())
    yield { kind: 'sync', mode, keys: [...sizes.values()].reduce((sum, size) => sum + size, 0) }
    for await (const { keys, next } of reader.scan({}, from)) {
      for (let at = 0; at < keys.length; at += this.options.batchSize) {
        if (signal.aborted) return
        const rest = pace?.() ?? 0
        if (rest > 0) await sleep(rest, undefined, { signal }).catch(() => undefined)
        const page = keys.slice(at, at + this.options.batchSize)
        const part = wants === undefined ? page : page.filter(({ db, key }) => wants(db, key))
        const passed = page.length - part.length
        const ended = at + this.options.batchSize >= keys.length
        const position = ended && next !== null ? { position: `scan:${next.db}:${next.cursor}` } : {}
        if (part.length === 0) {
          yield { kind: 'snapshot', records: [], byteLength: 0, passed, ...position }
          continue
        }
        const { db } = part[0]
        const groups = await retry(() =>
          reader.byBytes(
            db,
            part.map(({ key }) => key),
            PAGE_BYTES,
          ),
        )
        for (const [g, keys] of groups.entries()) {
          const last = g === groups.length - 1
          let batch: SnapshotRecord[] = []
          for (const record of await retry(() => reader.read(db, keys))) {
            if (record === null) continue
            if (isStream(record)) this.feed?.addStream(record.db, record.key)
            if (record.value.form !== 'sliced') batch.push(record)
            else {
              if (batch.length > 0) yield { kind: 'snapshot', records: batch, byteLength: byteLength(batch) }
              batch = []
              yield { kind: 'snapshot', records: [record], byteLength: 0 }
            }
          }
          if (batch.length > 0 || last)
            yield {
              kind: 'snapshot',
              records: batch,
              byteLength: byteLength(batch),
              ...(last ? { passed, ...position } : {}),
            }
        }
      }
    }
    yield { kind: 'snapshot-end' }
  }

  private async *follow(feed: ChangeFeed, reader: ScanningReader, request: ReadRequest): AsyncGenerator<SourceEvent> {
    const { signal } = request
    let checkedAt = Date.now()
    let sweptAt = Date.now()
    let total = await this.total(reader)
    let events = feed.events
    for (;;) {
      await feed.wait(CHECK_MS)
      if (signal.aborted) break
      if (feed.takeMissed()) {
        yield* this.scan(reader, request, 'sweep')
        total = await this.total(reader)
        events = feed.events
      }
      await new Promise((resolve) => setTimeout(resolve, GATHER_MS))
      const keys = feed.take(this.options.batchSize)
      this.busyKeys = keys.length
      if (keys.length > 0) yield { kind: 'dirty', keys }
      this.busyKeys = 0
      const now = Date.now()
      if (now - checkedAt < CHECK_MS) continue
      checkedAt = now
      const count = await this.total(reader)
      // FLUSHALL and FLUSHDB send no event: keys that vanish without one tell of it.
      const flushed =
        feed.takeVanished() || total - count > feed.events - events + UNEXPLAINED || (count === 0 && total > 0)
      total = count
      events = feed.events
      if (!feed.proven && now - sweptAt >= this.options.sweepIntervalMs) {
        sweptAt = now
        yield* this.scan(reader, request, 'sweep')
        total = await this.total(reader)
      } else if (flushed || now - sweptAt >= this.options.sweepIntervalMs) {
        sweptAt = now
        yield { kind: 'dirty', keys: [], sweep: true }
      }
      const streams = feed.takeStreams(STREAMS_PER_CHECK)
      if (streams.length > 0) yield { kind: 'dirty', keys: streams }
    }
    // At the end everything that changed without an event, and what is still waiting.
    for (let left = feed.pending; left > 0 && feed.pending > 0; ) {
      const keys = feed.take(this.options.batchSize)
      left -= keys.length
      yield { kind: 'dirty', keys }
    }
    for (let left = feed.streamCount; left > 0; ) {
      const streams = feed.takeStreams(Math.min(left, this.options.batchSize))
      left -= streams.length
      yield { kind: 'dirty', keys: streams }
    }
  }

  private async total(reader: KeyReader): Promise<number> {
    try {
      return [...(await reader.size()).values()].reduce((sum, size) => sum + size, 0)
    } catch (error) {
      if (error instanceof MigrateError && error.retryable) return 0
      throw error
    }
  }
}

function parsePlace(position: string): ScanPlace {
  const match = /^scan:(\d{1,5}):(\d{1,20}|end)$/.exec(position)
  if (match === null)
    throw new MigrateError(
      'FM_POSITION_INVALID',
      `"${position.slice(0, 80)}" is no position of a scan`,
      'Start again without it.',
    )
  return { db: Number(match[1]), cursor: match[2] }
}

function isStream({ value }: SnapshotRecord): boolean {
  return value.form === 'rdb' ? keyTypeOf(value.type, value.rdbVersion) === 'stream' : value.type === 'stream'
}

function byteLength(records: readonly SnapshotRecord[]): number {
  let bytes = 0
  for (const { key, value } of records) bytes += key.length + (value.form === 'rdb' ? value.body.length : 0)
  return bytes
}
