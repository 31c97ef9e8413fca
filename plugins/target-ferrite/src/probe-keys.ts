import { randomBytes } from 'node:crypto'
import type { Reply } from '@ferrite-migrate/protocol'
import { type RedisLink, slotTag, temporaryPrefix } from '@ferrite-migrate/redis'

export const HOUR = 3_600_000

/** Keys that live for a probe only, and questions about them. They are called `__ferrite_migrate__:tmp:<id>:probe:…`. */
export class ProbeKeys {
  readonly link: RedisLink
  private readonly stem: string
  private readonly used = new Set<string>()

  /** @param slot of a cluster that the keys are to be in */
  constructor(link: RedisLink, migration: string | undefined, slot?: number) {
    this.link = link
    this.stem = `${temporaryPrefix(migration)}probe:${randomBytes(6).toString('hex')}:${slot === undefined ? '' : `{${slotTag(slot)}}`}`
  }

  /** A key of this name, which `remove` takes away. */
  key(name: string): string {
    this.used.add(this.stem + name)
    return this.stem + name
  }

  /** Error replies are values. */
  async ask(...commands: (Buffer | string | number)[][]): Promise<Reply[]> {
    return this.link.pipeline((out) => {
      for (const command of commands) out.call(...command)
      return commands.length
    })
  }

  async remove(): Promise<void> {
    await this.ask(...[...this.used].map((name) => ['DEL', name])).catch(() => undefined)
  }
}

export function textOf(reply: Reply): string {
  return Buffer.isBuffer(reply) ? reply.toString('latin1') : String(reply)
}

/** True for a time to live of about so long, ms. */
export function isNear(reply: Reply, ms: number): boolean {
  return typeof reply === 'number' && Math.abs(reply - ms) < 60_000
}
