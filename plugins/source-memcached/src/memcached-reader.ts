import { join } from 'node:path'
import type { DirtyKey, KeyReader, SnapshotRecord } from '@ferrite-migrate/contracts'
import { type FlagForm, SIDECAR } from './flag-form.js'
import { KeyDump } from './key-dump.js'
import type { Item, MemcachedLink } from './memcached-link.js'

const PAGE = 1000
let serial = 0

/**
 * Absolute ms of an item that has so many seconds left by a server's own clock; 0 = never. That clock ticks once a second, and
 * may lag on a busy machine: what is left counts from what it shows.
 */
export function expiryOf(ttl: number, serverTime: number): number {
  return ttl < 0 ? 0 : (serverTime + ttl) * 1000
}

interface FoundItem extends Item {
  /** The clock of the server that has it, unix s. */
  readonly serverTime: number
}

/** Reads items of one or more servers as keys of database 0; each key is asked of all servers, in order. */
export class MemcachedReader implements KeyReader {
  private readonly open: readonly (() => Promise<MemcachedLink>)[]
  private readonly form: FlagForm
  private readonly tempDir: string
  private readonly signal: AbortSignal
  private readonly links = new Map<number, MemcachedLink>()
  private turn: Promise<unknown> = Promise.resolve()

  constructor(open: readonly (() => Promise<MemcachedLink>)[], form: FlagForm, tempDir: string, signal: AbortSignal) {
    this.open = open
    this.form = form
    this.tempDir = tempDir
    this.signal = signal
  }

  private async link(server: number): Promise<MemcachedLink> {
    let link = this.links.get(server)
    if (link === undefined) {
      link = await this.open[server]()
      this.links.set(server, link)
    }
    return link
  }

  async size(): Promise<ReadonlyMap<number, number>> {
    let keys = 0
    for (let server = 0; server < this.open.length; server++)
      keys += Number((await (await this.link(server)).stats()).get('curr_items') ?? 0)
    return new Map([[0, keys]])
  }

  async *keys(): AsyncGenerator<readonly DirtyKey[]> {
    for (const open of this.open) {
      const dump = await KeyDump.take(open, join(this.tempDir, `keys-${process.pid}-${serial++}`), this.signal)
      try {
        for await (const page of dump.pages()) {
          const keys: DirtyKey[] = page.map(({ key }) => ({ db: 0, key }))
          yield keys
          if (this.form.policy !== 'sidecar') continue
          const beside: DirtyKey[] = []
          const items = await this.items(page.map(({ key }) => key))
          for (const [i, item] of items.entries())
            if (item !== null && item.flags !== 0) beside.push({ db: 0, key: Buffer.concat([page[i].key, SIDECAR]) })
          if (beside.length > 0) yield beside
        }
      } finally {
        await dump.remove()
      }
    }
  }

  /** A connection answers one request after the other, whoever asks. */
  private items(keys: readonly Buffer[]): Promise<(FoundItem | null)[]> {
    const answer = this.turn.then(() => this.ask(keys))
    this.turn = answer.catch(() => undefined)
    return answer
  }

  private async ask(keys: readonly Buffer[]): Promise<(FoundItem | null)[]> {
    const found: (FoundItem | null)[] = keys.map(() => null)
    for (let server = 0; server < this.open.length; server++) {
      const missing = keys.flatMap((_, i) => (found[i] === null ? [i] : []))
      for (let from = 0; from < missing.length; from += PAGE) {
        const part = missing.slice(from, from + PAGE)
        try {
          const link = await this.link(server)
          const serverTime = await link.time()
          const items = await link.items(part.map((i) => keys[i]))
          for (const [n, i] of part.entries()) {
            const item = items[n]
            found[i] = item === null ? null : { ...item, serverTime }
          }
        } catch (error) {
          this.links.get(server)?.close()
          this.links.delete(server)
          throw error
        }
      }
    }
    return found
  }

  async read(db: number, keys: readonly Buffer[]): Promise<(SnapshotRecord | null)[]> {
    if (db !== 0) return keys.map(() => null)
    const sidecar = this.form.policy === 'sidecar'
    const beside = keys.map((key) => sidecar && key.subarray(-SIDECAR.length).equals(SIDECAR))
    const items = await this.items(keys.map((key, i) => (beside[i] ? key.subarray(0, -SIDECAR.length) : key)))
    return items.map((item, i): SnapshotRecord | null => {
      if (item === null) return null
      const carried = this.form.carry(item)
      const value = beside[i]
        ? carried.sidecar
        : carried.prefix === null
          ? carried.value
          : Buffer.concat([carried.prefix, carried.value])
      if (value === null) return null
      return {
        db,
        key: keys[i],
        value: { form: 'items', type: 'string', items: [value] },
        expireAt: expiryOf(item.ttl, item.serverTime),
      }
    })
  }

  async expiries(db: number, keys: readonly Buffer[]): Promise<number[]> {
    return (await this.read(db, keys)).map((record) => record?.expireAt ?? -1)
  }

  async exist(db: number, keys: readonly Buffer[]): Promise<boolean[]> {
    return (await this.read(db, keys)).map((record) => record !== null)
  }

  async close(): Promise<void> {
    for (const link of this.links.values()) link.close()
    this.links.clear()
  }
}
