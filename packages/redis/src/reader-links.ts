import { MigrateError } from '@ferrite-migrate/contracts'
import { type Reply, ReplyError, type RespWriter } from '@ferrite-migrate/protocol'
import type { Endpoint } from './endpoint.js'
import type { ExpiryCommand } from './key-expiry.js'
import { RedisLink, type WireTrace } from './link.js'

/** The connections of a key reader: one to scan, one to read. Each is opened when it is needed, and anew when it was lost. */
export class ReaderLinks {
  readonly endpoint: Endpoint
  private readonly trace: WireTrace | null
  private readonly signal: AbortSignal | undefined
  private readonly links = new Map<string, Promise<RedisLink>>()
  private expiryCommand: ExpiryCommand | null = null

  constructor(endpoint: Endpoint, trace: WireTrace | null, signal: AbortSignal | undefined) {
    this.endpoint = endpoint
    this.trace = trace
    this.signal = signal
  }

  get(use: 'scan' | 'read'): Promise<RedisLink> {
    let link = this.links.get(use)
    if (link === undefined) {
      // Also who stops may have to ask something; only patience is short then.
      link = RedisLink.open(this.endpoint, this.trace).then((open) => {
        open.hurryAfter(this.signal)
        return open
      })
      this.links.set(use, link)
      const forget = (): void => {
        if (this.links.get(use) === link) this.links.delete(use)
      }
      link.then((open) => open.closed.then(forget), forget)
    }
    return link
  }

  /** Writes commands to the reading connection; error replies are values. */
  async read(db: number, build: (out: RespWriter) => number): Promise<Reply[]> {
    const link = await this.get('read')
    return link.pipeline(build, db)
  }

  /** The answer of TYPE. */
  async typeOf(db: number, key: Buffer): Promise<Reply> {
    const [type] = await this.read(db, (out) => {
      out.call('TYPE', key)
      return 1
    })
    return type
  }

  /** @param key any one: the server is asked once */
  async expiry(db: number, key: Buffer): Promise<ExpiryCommand> {
    if (this.expiryCommand === null) {
      const [probe] = await this.read(db, (out) => {
        out.call('PEXPIRETIME', key)
        return 1
      })
      this.expiryCommand = probe instanceof ReplyError ? 'PTTL' : 'PEXPIRETIME'
    }
    return this.expiryCommand
  }

  /** What an error reply to a command means. */
  refused(command: string, reply: ReplyError): MigrateError {
    return new MigrateError(
      'FM_SERVER_REFUSED',
      `${this.endpoint.label} answered ${command} with: ${reply.message.slice(0, 200)}`,
      'Give the user the rights listed in docs/permissions.md.',
      {
        retryable: /^(LOADING|BUSY|TRYAGAIN|CLUSTERDOWN|MASTERDOWN|MOVED|ASK)\b/.test(reply.message),
      },
    )
  }

  async close(): Promise<void> {
    for (const link of [...this.links.values()])
      await link.then(
        (open) => open.close(),
        () => undefined,
      )
  }
}
