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

  /** The items of these keys as records. */
  async *of(keys: readonly DumpedKey[]): AsyncGenerator<SourceEvent> {
    const { batchSize } = this.options
    const { packed } = this
    const alive = this.alive(keys)
    for (let from = 0; from < alive.length; from += batchSize) {
      if (this.request.signal.aborted) return
      await this.rest()
      const part = alive.slice(from, from + batchSize)
      const items = await this.retrying(() => this.ask(part))
      this.read += part.length
      this.pack(part, items)
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

  private alive(keys: readonly DumpedKey[]): DumpedKey[] {
    const now = Date.now() / 1000
    return keys.filter(({ expireAt }) => {
      if (expireAt === -1 || expireAt > now) return true
      this.left.addExpired()
      return false
    })
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

  private pack(keys: readonly DumpedKey[], items: readonly (Item | null)[]): void {
    const { form } = this.options
    const { packed, left } = this
    for (const [i, item] of items.entries()) {
      const { key, expireAt: end } = keys[i]
      if (item === null) {
        left.addGone(key)
        continue
      }
      const carried = form.carry(item)
      // The dump tells the end itself; an item that was stored anew since comes once more.
      const expireAt = item.ttl < 0 ? 0 : end > 0 ? end * 1000 : expiryOf(item.ttl, Math.floor(Date.now() / 1000))
      packed.add(0, key, carried.value, expireAt, carried.prefix)
      if (carried.sidecar !== null) packed.add(0, Buffer.concat([key, SIDECAR]), carried.sidecar, expireAt)
      if (carried.opaque) left.addObject(key)
    }
  }
}
