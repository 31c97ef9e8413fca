import { createHash } from 'node:crypto'
import { keySlot, ReplyError } from '@ferrite-migrate/protocol'
import { ControlLink } from './control-link.js'
import { type Ask, KeyChangedError, keyContent } from './key-content.js'
import { type End, type Routes, routesTo } from './routes.js'

/** What a key is: equal for equal keys. */
export interface KeyState {
  readonly type: string
  /** Of its content. */
  readonly digest: string
  /** Absolute ms; -1 = it has no end. */
  readonly expireAt: number
}

const NO_END = -1
/** Keys that are asked for together. */
const TOGETHER = 200
/** A key that changes under each of so many readings is of an end that is not quiet. */
const READINGS = 20

/** All keys of a quiet end: a cluster, where each node counts for the slots that it owns, or one server. Close it. */
export class Keyspace {
  private readonly routes: Routes
  private readonly links = new Map<string, ControlLink>()

  private constructor(routes: Routes) {
    this.routes = routes
  }

  /** @throws Error when it is out of reach */
  static async open(end: End): Promise<Keyspace> {
    return new Keyspace(await routesTo(end))
  }

  /** Each key once, by its name in Latin-1. */
  async read(): Promise<Map<string, KeyState>> {
    const states = new Map<string, KeyState>()
    for (const url of this.routes.urls) {
      const keys = await this.keysOf(url)
      for (let at = 0; at < keys.length; at += TOGETHER) {
        const some = keys.slice(at, at + TOGETHER)
        const read = await Promise.all(some.map((key) => this.state(url, key)))
        for (const [i, state] of read.entries()) if (state !== null) states.set(some[i].toString('latin1'), state)
      }
    }
    return states
  }

  /** What a key holds; empty = there is none. */
  async content(key: Buffer): Promise<Buffer[]> {
    const ask = this.ask(this.routes.urlOf(keySlot(key)))
    try {
      return await keyContent(ask, key, String(await ask('TYPE', key)))
    } catch (error) {
      // It is only shown: what it was when it was compared is gone.
      if (error instanceof KeyChangedError) return []
      throw error
    }
  }

  close(): void {
    for (const link of this.links.values()) link.close()
  }

  private async keysOf(url: string): Promise<Buffer[]> {
    const ask = this.ask(url)
    // One page as large as all: a Ferrite skips keys in others.
    const count = String(Number(await ask('DBSIZE')) + TOGETHER)
    const keys = new Map<string, Buffer>()
    for (let cursor = '0'; ; ) {
      const [next, page] = (await ask('SCAN', cursor, 'COUNT', count)) as [Buffer, Buffer[]]
      // A node may still hold what it gave away, or what it was to get.
      for (const key of page)
        if (!this.routes.bySlot || this.routes.urlOf(keySlot(key)) === url) keys.set(key.toString('latin1'), key)
      cursor = String(next)
      if (cursor === '0') return [...keys.values()]
    }
  }

  private async state(url: string, key: Buffer): Promise<KeyState | null> {
    for (let reading = 1; ; reading++) {
      try {
        return await this.readState(this.ask(url), key)
      } catch (error) {
        if (!(error instanceof KeyChangedError) || reading === READINGS) throw error
      }
    }
  }

  private async readState(ask: Ask, key: Buffer): Promise<KeyState | null> {
    const [type, expireAt] = await Promise.all([ask('TYPE', key), this.expireAt(ask, key)])
    if (type === 'none') return null
    const hash = createHash('sha1')
    for (const part of await keyContent(ask, key, String(type))) hash.update(`${part.length}:`).update(part)
    return { type: String(type), digest: hash.digest('hex'), expireAt }
  }

  private async expireAt(ask: Ask, key: Buffer): Promise<number> {
    try {
      return Math.max(NO_END, Number(await ask('PEXPIRETIME', key)))
    } catch (error) {
      // Before Redis 7.0.
      if (!(error instanceof ReplyError) || !/unknown command/i.test(error.message)) throw error
      const left = Number(await ask('PTTL', key))
      return left < 0 ? NO_END : Date.now() + left
    }
  }

  private ask(url: string): Ask {
    const link = this.links.get(url) ?? new ControlLink(url)
    this.links.set(url, link)
    return (...argv) => link.call(...argv)
  }
}
