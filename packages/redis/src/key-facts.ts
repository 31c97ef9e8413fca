import type { KeyDescription } from '@ferrite-migrate/contracts'
import { type Reply, ReplyError } from '@ferrite-migrate/protocol'
import { endOf, GONE } from './key-expiry.js'
import type { ReaderLinks } from './reader-links.js'

const LENGTHS: Readonly<Record<string, string>> = {
  list: 'LLEN',
  set: 'SCARD',
  zset: 'ZCARD',
  hash: 'HLEN',
  stream: 'XLEN',
}

/** What a server tells of keys without their values. */
export class KeyFacts {
  private readonly links: ReaderLinks

  constructor(links: ReaderLinks) {
    this.links = links
  }

  async expiries(db: number, keys: readonly Buffer[]): Promise<readonly number[]> {
    if (keys.length === 0) return []
    const command = await this.links.expiry(db, keys[0])
    const replies = await this.links.read(db, (out) => {
      for (const key of keys) out.call(command, key)
      return keys.length
    })
    const now = Date.now()
    return replies.map((reply) => {
      if (reply instanceof ReplyError) throw this.links.refused('PTTL', reply)
      const told = Number(reply)
      return told === GONE ? -1 : endOf(command, told, now)
    })
  }

  async exist(db: number, keys: readonly Buffer[]): Promise<readonly boolean[]> {
    const replies = await this.links.read(db, (out) => {
      for (const key of keys) out.call('EXISTS', key)
      return keys.length
    })
    return replies.map((reply) => {
      if (reply instanceof ReplyError) throw this.links.refused('EXISTS', reply)
      return reply === 1
    })
  }

  /** Which keys the node itself holds: one that has gone ahead of its slot is not there. */
  async held(keys: readonly Buffer[]): Promise<readonly boolean[]> {
    const replies = await this.links.read(0, (out) => {
      for (const key of keys) out.call('EXISTS', key)
      return keys.length
    })
    return replies.map((reply) => {
      if (reply instanceof ReplyError && !reply.message.startsWith('ASK ')) throw this.links.refused('EXISTS', reply)
      return reply === 1
    })
  }

  async describe(db: number, keys: readonly Buffer[]): Promise<readonly (KeyDescription | null)[]> {
    if (keys.length === 0) return []
    const command = await this.links.expiry(db, keys[0])
    const told = await this.links.read(db, (out) => {
      for (const key of keys) {
        out.call('TYPE', key)
        out.call('OBJECT', 'ENCODING', key)
        out.call('MEMORY', 'USAGE', key)
        out.call(command, key)
      }
      return keys.length * 4
    })
    const types = keys.map((_, i) => String(told[i * 4]))
    const lengths = await this.lengths(db, keys, types)
    const now = Date.now()
    return keys.map((_, i): KeyDescription | null => {
      const [encoding, memory, expiry] = told.slice(i * 4 + 1, i * 4 + 4)
      const end = Number(expiry)
      if (types[i] === 'none' || end === GONE) return null
      return {
        type: types[i],
        encoding: known(encoding) ? String(encoding) : 'unknown',
        bytes: known(memory) ? Number(memory) : null,
        elements: lengths[i],
        expireAt: Number.isFinite(end) ? endOf(command, end, now) : 0,
      }
    })
  }

  /** How many elements each value has; 1 where it has none, or the server does not tell. */
  private async lengths(db: number, keys: readonly Buffer[], types: readonly string[]): Promise<number[]> {
    const replies = await this.links.read(db, (out) => {
      let calls = 0
      for (const [i, key] of keys.entries()) {
        const command = LENGTHS[types[i]]
        if (command === undefined) continue
        out.call(command, key)
        calls++
      }
      return calls
    })
    let at = 0
    return types.map((type) => {
      const length = LENGTHS[type] === undefined ? 1 : Number(replies[at++])
      return Number.isFinite(length) ? length : 1
    })
  }
}

function known(reply: Reply): boolean {
  return !(reply instanceof ReplyError) && reply !== null
}
