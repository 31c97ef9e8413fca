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
import { PackedValues } from '@ferrite-migrate/protocol'
import { type FlagForm, SIDECAR } from './flag-form.js'
import { ItemTable } from './item-table.js'
import { type DumpedKey, KeyDump } from './key-dump.js'
import type { Item, MemcachedLink } from './memcached-link.js'
import { expiryOf } from './memcached-reader.js'
import { WatchFeed } from './watch-feed.js'

/** How long the last comparison after a stop may take. */
const LAST_LOOK_MS = 10_000

export interface MemcachedShardOptions {
  open(): Promise<MemcachedLink>
  readonly form: FlagForm
  readonly batchSize: number
  /** Items read per second at most, 0 = no limit. */
  readonly maxRate: number
  readonly pollIntervalMs: number
  readonly retryMs: number
  readonly tempDir: string
  readonly logger: Logger
}

const WATCH_MS = 50
const RETRY_MS = 500
const EXAMPLES = 5

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
  private async *items(dump: KeyDump, { signal, pace }: ReadRequest): AsyncGenerator<SourceEvent> {
    const { form, batchSize, maxRate } = this.options
    const gone: Buffer[] = []
    const objects: Buffer[] = []
    const counts = { expired: 0, gone: 0, objects: 0 }
    const note = (list: Buffer[], key: Buffer): number => (list.length < EXAMPLES ? list.push(Buffer.from(key)) : 0)
    const packed = new PackedValues()
    const number = this.dumps
    const startedAt = Date.now()
    let read = 0
    let link: MemcachedLink | null = null
    const ask = async (keys: readonly DumpedKey[]): Promise<(Item | null)[]> =>
      this.retrying(async () => {
        link ??= await this.options.open()
        try {
          return await link.items(keys.map(({ key }) => key))
        } catch (error) {
          link.close()
          link = null
          throw error
        }
      }, signal)
    try {
      for await (const page of dump.pages()) {
        const now = Date.now() / 1000
        const alive = page.filter(({ key, stamp, expireAt }) => {
          if (!this.table.note(key, stamp, number)) return false
          if (expireAt === -1 || expireAt > now) return true
          counts.expired++
          return false
        })
        for (let from = 0; from < alive.length; from += batchSize) {
          if (signal.aborted) return
          const rest = Math.max(pace?.() ?? 0, maxRate > 0 ? (read / maxRate) * 1000 - (Date.now() - startedAt) : 0)
          if (rest > 0) await sleep(rest, undefined, { signal }).catch(() => undefined)
          const part = alive.slice(from, from + batchSize)
          const items = await ask(part)
          read += part.length
          for (const [i, item] of items.entries()) {
            const { key } = part[i]
            if (item === null) {
              counts.gone++
              note(gone, key)
              continue
            }
            const carried = form.carry(item)
            // The dump tells the end itself; an item that was stored anew since comes once more.
            const end = part[i].expireAt
            const expireAt = item.ttl < 0 ? 0 : end > 0 ? end * 1000 : expiryOf(item.ttl, Math.floor(Date.now() / 1000))
            packed.add(0, key, carried.value, expireAt, carried.prefix)
            if (carried.sidecar !== null) packed.add(0, Buffer.concat([key, SIDECAR]), carried.sidecar, expireAt)
            if (!carried.opaque) continue
            counts.objects++
            note(objects, key)
          }
          if (packed.size === 0) continue
          const { byteLength } = packed
          yield { kind: 'snapshot', records: packed.take(), byteLength }
        }
      }
      if (counts.gone > 0)
        yield { kind: 'left-out', what: 'item that was gone before it was read', count: counts.gone, examples: gone }
      if (counts.expired > 0)
        yield { kind: 'left-out', what: 'item that had expired', count: counts.expired, examples: [] }
      if (counts.objects > 0)
        yield {
          kind: 'left-out',
          what: 'object of a client (carried as it is)',
          count: counts.objects,
          examples: objects,
        }
    } finally {
      ;(link as MemcachedLink | null)?.close()
    }
  }
}
