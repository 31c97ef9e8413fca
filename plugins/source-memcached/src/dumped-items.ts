import { setTimeout as sleep } from 'node:timers/promises'
import type { ReadRequest, SourceEvent } from '@ferrite-migrate/contracts'
import { PackedValues } from '@ferrite-migrate/protocol'
import { type FlagForm, SIDECAR } from './flag-form.js'
import type { DumpedKey } from './key-dump.js'
import { LeftItems } from './left-items.js'
import type { Item, MemcachedLink } from './memcached-link.js'
import { expiryOf } from './memcached-reader.js'

export interface DumpedItemsOptions {
  open(): Promise<MemcachedLink>
  readonly form: FlagForm
  readonly batchSize: number
  /** Items read per second at most, 0 = no limit. */
  readonly maxRate: number
}

/** What a clock that ticks once a second, looked at twice, may tell wrong. */
const CLOCK_SECONDS = 2

/** Reads the items whose keys a dump holds, over one connection that is opened anew when it is lost. */
export class DumpedItems {
  private readonly options: DumpedItemsOptions
  private readonly request: ReadRequest
  private readonly retrying: <T>(attempt: () => Promise<T>) => Promise<T>
  private readonly left = new LeftItems()
  private readonly packed = new PackedValues()
  private readonly startedAt = Date.now()
  private read = 0
  private link: MemcachedLink | null = null

  /** @param retrying tries something again while the server is away */
  constructor(
    options: DumpedItemsOptions,
    request: ReadRequest,
    retrying: <T>(attempt: () => Promise<T>) => Promise<T>,
  ) {
    this.options = options
    this.request = request
    this.retrying = retrying
  }

  /**
   * The items of these keys as records.
   * @param clockAhead seconds that the server's clock is ahead of this machine's
   */
  async *of(keys: readonly DumpedKey[], clockAhead: number): AsyncGenerator<SourceEvent> {
    const { batchSize } = this.options
    const { packed } = this
    for (let from = 0; from < keys.length; from += batchSize) {
      if (this.request.signal.aborted) return
      await this.rest()
      const part = keys.slice(from, from + batchSize)
      const items = await this.retrying(() => this.ask(part))
      this.read += part.length
      this.pack(part, items, Math.floor(Date.now() / 1000) + clockAhead)
      if (packed.size === 0) continue
      const { byteLength } = packed
      yield { kind: 'snapshot', records: packed.take(), byteLength }
    }
  }

  /** What became of those that are no record as they were. */
  leftOut(): Iterable<SourceEvent> {
    return this.left.events()
  }

  close(): void {
    this.link?.close()
    this.link = null
  }

  private async rest(): Promise<void> {
    const { maxRate } = this.options
    const { pace, signal } = this.request
    const due = maxRate > 0 ? (this.read / maxRate) * 1000 - (Date.now() - this.startedAt) : 0
    const rest = Math.max(pace?.() ?? 0, due)
    if (rest > 0) await sleep(rest, undefined, { signal }).catch(() => undefined)
  }

  private async ask(keys: readonly DumpedKey[]): Promise<(Item | null)[]> {
    this.link ??= await this.options.open()
    try {
      return await this.link.items(keys.map(({ key }) => key))
    } catch (error) {
      this.close()
      throw error
    }
  }

  /** @param now what the server takes for now, unix s */
  private pack(keys: readonly DumpedKey[], items: readonly (Item | null)[], now: number): void {
    const { form } = this.options
    const { packed, left } = this
    for (const [i, item] of items.entries()) {
      const { key, expireAt: end } = keys[i]
      if (item === null) {
        if (end !== -1 && end <= now) left.addExpired()
        else left.addGone(key)
        continue
      }
      const carried = form.carry(item)
      const expireAt = endOf(item.ttl, end, now)
      packed.add(0, key, carried.value, expireAt, carried.prefix)
      if (carried.sidecar !== null) packed.add(0, Buffer.concat([key, SIDECAR]), carried.sidecar, expireAt)
      if (carried.opaque) left.addObject(key)
    }
  }
}

/**
 * Absolute ms of the end of an item, 0 = never. The list tells it to the second, unless it was renewed since: then what is left of it
 * says something else.
 */
function endOf(ttl: number, listed: number, now: number): number {
  if (ttl < 0) return 0
  return Math.abs(listed - (now + ttl)) <= CLOCK_SECONDS ? listed * 1000 : expiryOf(ttl, now)
}
