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

/** A list of keys, and which one it is of this shard. */
interface NumberedDump {
  readonly number: number
  readonly keys: KeyDump
}

const WATCH_MS = 50
/** Lists that may break off in a row while they are read. */
const FAILURES = 3
const RETRY_MS = 500

/** One server: dumped by its crawler, followed by `watch` and by comparing dumps. */
export class MemcachedShard implements Shard {
  readonly id: string
  private readonly options: MemcachedShardOptions
  private table = new ItemTable()
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
    // Whoever reads again wants everything again.
    this.table = new ItemTable()
    try {
      // Watched before it is dumped, so that no change falls between.
      if (changes) await this.watch(signal)
      let startedAt = Date.now()
      yield* this.everything(request)
      if (signal.aborted) return
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
        yield* this.compare(request)
        this.comparedAt = startedAt
      }
      // At the end what came since the last comparison.
      if (changes) yield* this.compare({ ...request, signal: AbortSignal.timeout(LAST_LOOK_MS) })
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

  private async dump(signal: AbortSignal): Promise<NumberedDump> {
    const number = ++this.dumps
    return {
      number,
      keys: await this.retrying(() => KeyDump.take(this.options.open, this.file(number), signal), signal),
    }
  }

  private file(number: number): string {
    return join(this.options.tempDir, `dump-${this.id}-${number}`)
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

  /**
   * All items, read while their keys are still being listed. The crawler misses what moves while it walks: it walks twice, and what is new by
   * then is read as well. Over the hash table it may do so while items are read; in the lists it would miss these.
   */
  private async *everything(request: ReadRequest): AsyncGenerator<SourceEvent> {
    const { signal } = request
    const over = new AbortController()
    const ends = AbortSignal.any([signal, over.signal])
    const items = new DumpedItems(this.options, request, (attempt) => this.retrying(attempt, signal))
    let next: Promise<NumberedDump> | null = null
    let failures = 0
    try {
      for (let walks = 0; walks < 2 && !signal.aborted; ) {
        const dump: NumberedDump = await (next ?? this.begin(ends))
        next = null
        try {
          if (walks === 0 && failures === 0) {
            this.table.expect(dump.keys.items)
            yield { kind: 'sync', mode: 'full', keys: dump.keys.items }
          }
          if (walks === 0 && dump.keys.walk === 'hash') {
            const second = dump.keys.whole().then(() => this.begin(ends))
            // That the first one broke off is met by whoever reads that.
            second.catch(() => undefined)
            next = second
          }
          yield* this.items(dump, items, signal)
          walks++
          failures = 0
        } catch (error) {
          if (!dump.keys.brokeOffBy(error) || ++failures >= FAILURES || signal.aborted) throw error
          this.options.logger.log('warn', `the list of keys broke off and begins anew: ${(error as Error).message}`)
          next = null
        } finally {
          await dump.keys.remove()
        }
      }
      if (!signal.aborted) yield* items.leftOut()
    } finally {
      items.close()
      over.abort()
      await next?.then(({ keys }) => keys.remove()).catch(() => undefined)
    }
  }

  private async begin(signal: AbortSignal): Promise<NumberedDump> {
    const number = ++this.dumps
    return {
      number,
      keys: await this.retrying(() => KeyDump.begin(this.options.open, this.file(number), signal), signal),
    }
  }

  /** All keys once more: those that are new or changed, and whether some are gone. */
  private async *compare(request: ReadRequest): AsyncGenerator<SourceEvent> {
    const { number, keys } = await this.dump(request.signal)
    try {
      for await (const page of keys.pages()) {
        const changed = page.filter(({ key, stamp }) => this.table.note(key, stamp, number))
        if (changed.length > 0) yield { kind: 'dirty', keys: changed.flatMap(({ key }) => this.touched(key)) }
      }
      if (this.table.forgetOthers(number) > 0) yield { kind: 'dirty', keys: [], sweep: true }
    } finally {
      await keys.remove()
    }
  }

  /** The items of a dump that are not known yet. */
  private async *items(
    { number, keys }: NumberedDump,
    items: DumpedItems,
    signal: AbortSignal,
  ): AsyncGenerator<SourceEvent> {
    for await (const page of keys.pages()) {
      yield* items.of(
        page.filter(({ key, stamp }) => this.table.note(key, stamp, number)),
        keys.clockAhead,
      )
      if (signal.aborted) return
    }
  }
}
