import { ReplyError } from '@ferrite-migrate/protocol'
import type { ReaderLinks } from './reader-links.js'

/** What values take of a server's memory, where it tells. */
export class MemoryUse {
  private readonly links: ReaderLinks
  private told = true

  constructor(links: ReaderLinks) {
    this.links = links
  }

  /** Indexes of the keys whose values take more than this; none where the server does not tell. */
  async above(db: number, keys: readonly Buffer[], limit: number): Promise<Set<number>> {
    const large = new Set<number>()
    if (!this.told) return large
    const replies = await this.links.read(db, (out) => {
      for (const key of keys) out.call('MEMORY', 'USAGE', key)
      return keys.length
    })
    replies.forEach((reply, i) => {
      if (reply instanceof ReplyError) this.told &&= /^(MOVED|ASK|TRYAGAIN) /.test(reply.message)
      else if (Number(reply ?? 0) > limit) large.add(i)
    })
    return large
  }

  /** Keys in groups whose values take about so many bytes at most. */
  async groups(db: number, keys: readonly Buffer[], most: number): Promise<readonly (readonly Buffer[])[]> {
    if (!this.told || keys.length === 0) return [[...keys]]
    const replies = await this.links.read(db, (out) => {
      for (const key of keys) out.call('MEMORY', 'USAGE', key, 'SAMPLES', 1)
      return keys.length
    })
    const groups: Buffer[][] = []
    let bytes = Number.POSITIVE_INFINITY
    for (const [i, key] of keys.entries()) {
      const reply = replies[i]
      const size = reply instanceof ReplyError ? 0 : Number(reply ?? 0)
      if (bytes + size > most) {
        groups.push([])
        bytes = 0
      }
      bytes += size
      groups[groups.length - 1].push(key)
    }
    return groups
  }
}
