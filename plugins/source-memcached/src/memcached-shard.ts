import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import {
  type Lag,
  type Logger,
  MigrateError,
  type ReadRequest,
  type Shard,
  type SourceEvent,
} from '@ferrite-migrate/contracts'
import { DumpedItems, type DumpedItemsOptions } from './dumped-items.js'
import { SIDECAR } from './flag-form.js'
import { ItemTable } from './item-table.js'
import { KeyDump } from './key-dump.js'
import { WatchFeed } from './watch-feed.js'

/** How long the last comparison after a stop may take. */
const LAST_LOOK_MS = 10_000

export interface MemcachedShardOptions extends DumpedItemsOptions {
  readonly pollIntervalMs: number
  readonly retryMs: number
  readonly tempDir: string
  readonly logger: Logger
}

const WATCH_MS = 50
const RETRY_MS = 500

/** One server: dumped by its crawler, followed by `watch` and by comparing dumps. */
export class MemcachedShard implements Shard {
  readonly id: string
  private readonly options: MemcachedShardOptions
  private readonly table = new ItemTable()
  private feed: WatchFeed | null = null
  private dumps = 0
  private comparedAt = 0

  constructor(id: string, options: MemcachedShardOptions) {
    this.id = id
    this.options = options
  }

  async lag(): Promise<Lag> {
    if (this.comparedAt === 0) return {}
    return { keys: this.feed?.pending ?? 0, ms: Date.now() - this.comparedAt }
  }

  async *read(request: ReadRequest): AsyncGenerator<SourceEvent> {
    const { signal, changes } = request
    try {
      // Watched before it is dumped, so that no change falls between.
      if (changes) await this.watch(signal)
      let startedAt = Date.now()
      const first = await this.dump(signal)
      try {
        yield { kind: 'sync', mode: 'full', keys: first.count }
        yield* this.items(first, request)
      } finally {
        await first.remove()
      }
      if (signal.aborted) return
      // The crawler misses what moves between its lists while it runs: once more, for what is new by then.
      yield* this.compare(request, 'snapshot')
      yield { kind: 'snapshot-end' }
      this.comparedAt = startedAt
      while (changes && !signal.aborted) {
        const feed = this.feed
        if (feed !== null && feed.pending > 0)
          yield { kind: 'dirty', keys: feed.take(this.options.batchSize).flatMap((key) => this.touched(key)) }
        else await sleep(WATCH_MS, undefined, { signal }).catch(() => undefined)
        const missed = feed?.takeMissed() ?? false
        if (signal.aborted || (!missed && Date.now() - startedAt < this.options.pollIntervalMs)) continue
        if (missed) await this.watch(signal)
        startedAt = Date.now()
        yield* this.compare(request, 'dirty')
        this.comparedAt = startedAt
      }
      // At the end what came since the last comparison.
      if (changes) yield* this.compare({ ...request, signal: AbortSignal.timeout(LAST_LOOK_MS) }, 'dirty')
    } finally {
      this.feed?.close()
      this.feed = null
    }
  }

  private async watch(signal: AbortSignal): Promise<void> {
    this.feed?.close()
    this.feed = await this.retrying(() => WatchFeed.start(this.options.open), signal)
  }

  /** What is read again when an item changed. */
  private touched(key: Buffer): { db: number; key: Buffer }[] {
    const own = { db: 0, key }
    return this.options.form.policy === 'sidecar' ? [own, { db: 0, key: Buffer.concat([key, SIDECAR]) }] : [own]
  }

  private dump(signal: AbortSignal): Promise<KeyDump> {
    const file = join(this.options.tempDir, `dump-${this.id}-${this.dumps++}`)
    return this.retrying(() => KeyDump.take(this.options.open, file, signal), signal)
  }

  private async retrying<T>(attempt: () => Promise<T>, signal: AbortSignal): Promise<T> {
    const deadline = Date.now() + this.options.retryMs
    for (;;) {
      try {
        return await attempt()
      } catch (error) {
        if (!(error instanceof MigrateError) || !error.retryable || signal.aborted || Date.now() > deadline) throw error
        this.options.logger.log('warn', error.message, { code: error.code })
        await sleep(RETRY_MS, undefined, { signal }).catch(() => undefined)
      }
    }
  }

  /** All keys once more: those that are new or changed, and whether some are gone. */
  private async *compare(request: ReadRequest, as: 'snapshot' | 'dirty'): AsyncGenerator<SourceEvent> {
    const dump = await this.dump(request.signal)
    const number = this.dumps
    try {
      if (as === 'snapshot') {
        yield* this.items(dump, request)
        return
      }
      for await (const page of dump.pages()) {
        const changed = page.filter(({ key, stamp }) => this.table.note(key, stamp, number))
        if (changed.length > 0) yield { kind: 'dirty', keys: changed.flatMap(({ key }) => this.touched(key)) }
      }
      if (this.table.forgetOthers(number) > 0) yield { kind: 'dirty', keys: [], sweep: true }
    } finally {
      await dump.remove()
    }
  }

  /** The items of a dump that are not known yet. */
  private async *items(dump: KeyDump, request: ReadRequest): AsyncGenerator<SourceEvent> {
    const { signal } = request
    const items = new DumpedItems(this.options, request, (attempt) => this.retrying(attempt, signal))
    const number = this.dumps
    try {
      for await (const page of dump.pages()) {
        yield* items.of(page.filter(({ key, stamp }) => this.table.note(key, stamp, number)))
        if (signal.aborted) return
      }
      yield* items.leftOut()
    } finally {
      items.close()
    }
  }
}
