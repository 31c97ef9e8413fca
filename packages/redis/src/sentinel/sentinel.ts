import { type Address, MigrateError } from '@ferrite-migrate/contracts'
import type { Redis } from 'ioredis'
import { readAddress } from '../address/host-port.js'
import { type SentinelAccess, SentinelConnection } from './sentinel-connection.js'

/** What one sentinel says of a primary: its address, that it knows none of this name, or what kept it from answering. */
export interface SentinelAnswer {
  readonly sentinel: Sentinel
  readonly said: Address | null | MigrateError
}

/** One sentinel: asked over one connection, listened to over another. */
export class Sentinel {
  private readonly asked: SentinelConnection
  private readonly heard: SentinelConnection

  constructor(make: typeof Redis, address: Address, access: SentinelAccess) {
    this.asked = new SentinelConnection(make, address, access)
    this.heard = new SentinelConnection(make, address, access)
  }

  /** `host:port`. */
  get at(): string {
    return this.asked.at
  }

  /** Where it says that the primary of this name is. Never throws. */
  async primary(name: string): Promise<SentinelAnswer> {
    try {
      const reply = await this.asked.call('SENTINEL', 'GET-MASTER-ADDR-BY-NAME', name)
      if (reply === null) return { sentinel: this, said: null }
      const [host, port] = Array.isArray(reply) ? reply.map(String) : []
      const address = readAddress(host?.includes(':') ? `[${host}]:${port}` : `${host}:${port}`)
      if (address !== null) return { sentinel: this, said: address }
      throw new MigrateError(
        'FM_SENTINEL_NONE',
        `${this.at} is no sentinel: it names no address`,
        'Name the sentinels.',
      )
    } catch (error) {
      return { sentinel: this, said: error as MigrateError }
    }
  }

  /** The names of all primaries that it looks after; empty where it does not say. */
  async names(): Promise<string[]> {
    const reply = await this.asked.call('SENTINEL', 'MASTERS').catch(() => null)
    if (!Array.isArray(reply)) return []
    return reply.flatMap((fields) => {
      const at = Array.isArray(fields) ? fields.indexOf('name') : -1
      return at < 0 ? [] : [String(fields[at + 1])]
    })
  }

  /**
   * Listens for failovers.
   * @param moved called when it says that the primary of this name is another one
   * @param begun called each time that listening begins: what was said before was not heard
   */
  listen(name: string, moved: () => void, begun: () => void): void {
    // <name> <old ip> <old port> <new ip> <new port>
    void this.heard.listen('+switch-master', (message) => message.startsWith(`${name} `) && moved(), begun)
  }

  close(): void {
    this.asked.close()
    this.heard.close()
  }
}
