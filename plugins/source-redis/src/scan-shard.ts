import {
  type KeyReader,
  type Lag,
  type Logger,
  MigrateError,
  type ReadRequest,
  type Shard,
  type SnapshotRecord,
  type SourceEvent,
} from '@ferrite-migrate/contracts'
import { keyTypeOf } from '@ferrite-migrate/protocol'
import { type Endpoint, type RedisKeyReader, retrying } from '@ferrite-migrate/redis'
import { NotificationFeed } from './notification-feed.js'

export interface ScanShardOptions {
  readonly endpoint: Endpoint
  readonly logger: Logger
  readonly batchSize: number
  readonly sweepIntervalMs: number
  readonly retryMs: number
  readonly configure: boolean
  /** Makes a reader of the source with connections of its own. */
  reader(): RedisKeyReader
}

const CHECK_MS = 1000
const GATHER_MS = 5
/** Streams read again per second for their groups. */
const STREAMS_PER_CHECK = 200
/** So many keys may vanish in a second without their own events before a flush is suspected. */
const UNEXPLAINED = 10

/** A server read by SCAN, DUMP and keyspace notifications: for those that refuse PSYNC. */
export class ScanShard implements Shard {
  readonly id: string
  private readonly options: ScanShardOptions
  private feed: NotificationFeed | null = null
  private busyKeys = 0

  constructor(id: string, options: ScanShardOptions) {
    this.id = id
    this.options = options
  }

  async lag(): Promise<Lag> {
    return this.feed === null ? {} : { keys: this.feed.pending + this.busyKeys }
  }

  async *read(request: ReadRequest): AsyncGenerator<SourceEvent> {
    const { endpoint, logger, retryMs, configure } = this.options
    const reader = this.options.reader()
    const feed = request.changes
      ? new NotificationFeed({ endpoint, logger, retryMs, configure, signal: request.signal })
      : null
    this.feed = feed
    try {
      // The subscription stands before the scan starts, so that no change falls between.
      await feed?.start()
      yield* this.scan(reader, request.signal)
      if (feed === null || request.signal.aborted) return
      yield* this.follow(feed, reader, request.signal)
    } finally {
      this.feed = null
      await feed?.close()
      await reader.close()
    }
  }

  private async *scan(reader: KeyReader, signal: AbortSignal): AsyncGenerator<SourceEvent> {
    const retry = <T>(attempt: () => Promise<T>): Promise<T> =>
      retrying(attempt, { timeoutMs: this.options.retryMs, signal })
    const sizes = await retry(() => reader.size())
    yield { kind: 'sync', mode: 'full', keys: [...sizes.values()].reduce((sum, size) => sum + size, 0) }
    for await (const keys of reader.keys()) {
      for (let at = 0; at < keys.length; at += this.options.batchSize) {
        if (signal.aborted) return
        const part = keys.slice(at, at + this.options.batchSize)
        const read = await retry(() =>
          reader.read(
            part[0].db,
            part.map(({ key }) => key),
          ),
        )
        let batch: SnapshotRecord[] = []
        for (const record of read) {
          if (record === null) continue
          if (isStream(record)) this.feed?.addStream(record.db, record.key)
          if (record.value.form !== 'sliced') batch.push(record)
          else {
            if (batch.length > 0) yield { kind: 'snapshot', records: batch, byteLength: byteLength(batch) }
            batch = []
            yield { kind: 'snapshot', records: [record], byteLength: 0 }
          }
        }
        if (batch.length > 0) yield { kind: 'snapshot', records: batch, byteLength: byteLength(batch) }
      }
    }
    yield { kind: 'snapshot-end' }
  }

  private async *follow(
    feed: NotificationFeed,
    reader: RedisKeyReader,
    signal: AbortSignal,
  ): AsyncGenerator<SourceEvent> {
    let checkedAt = Date.now()
    let sweptAt = Date.now()
    let total = await this.total(reader)
    let events = feed.events
    for (;;) {
      await feed.wait(CHECK_MS)
      if (signal.aborted) break
      if (feed.takeMissed()) {
        yield* this.scan(reader, signal)
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
      const flushed = total - count > feed.events - events + UNEXPLAINED || (count === 0 && total > 0)
      total = count
      events = feed.events
      if (flushed || now - sweptAt >= this.options.sweepIntervalMs) {
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

function isStream({ value }: SnapshotRecord): boolean {
  return value.form === 'rdb' ? keyTypeOf(value.type, value.rdbVersion) === 'stream' : value.type === 'stream'
}

function byteLength(records: readonly SnapshotRecord[]): number {
  let bytes = 0
  for (const { key, value } of records) bytes += key.length + (value.form === 'rdb' ? value.body.length : 0)
  return bytes
}
