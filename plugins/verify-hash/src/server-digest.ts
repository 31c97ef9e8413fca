import { ReplyError } from '@ferrite-migrate/protocol'
import type { Endpoint } from '@ferrite-migrate/redis'
import { RedisLink } from '@ferrite-migrate/redis'

const NOTHING = '0'.repeat(40)

/** DEBUG DIGEST-VALUE of one server: forty hexadecimal digits a key, zeros for a key that is not there. */
export class ServerDigest {
  private readonly endpoint: Endpoint
  private link: RedisLink | null = null

  constructor(endpoint: Endpoint) {
    this.endpoint = endpoint
  }

  /** Null when the server does not know the command or the user may not use it. */
  async of(db: number, keys: readonly Buffer[]): Promise<(string | null)[] | null> {
    this.link ??= await RedisLink.open({ ...this.endpoint, db: 0 })
    const [reply] = await this.link.pipeline((out) => {
      out.call('DEBUG', 'DIGEST-VALUE', ...keys)
      return 1
    }, db)
    if (reply instanceof ReplyError || !Array.isArray(reply) || reply.length !== keys.length) return null
    return reply.map((digest) => (String(digest) === NOTHING ? null : String(digest)))
  }

  close(): void {
    this.link?.close()
  }
}
