import type { Reply, RespWriter } from '@ferrite-migrate/protocol'
import { parseEndpoint, RedisLink } from '@ferrite-migrate/redis'

/** A connection that is opened when it is needed, and again after it was lost. Close it. */
export class ControlLink {
  readonly url: string
  private opening: Promise<RedisLink> | null = null

  constructor(url: string) {
    this.url = url
  }

  /** One command. @throws ReplyError what the server answers, MigrateError when it is out of reach */
  async call(...argv: readonly (Buffer | string | number)[]): Promise<Reply> {
    return (await this.opened()).call(...argv)
  }

  /** Commands and their replies, errors as values. @throws MigrateError when the server is out of reach */
  async pipeline(build: (out: RespWriter) => number): Promise<Reply[]> {
    return (await this.opened()).pipeline(build)
  }

  /** Drops the connection; the next call opens another one. */
  close(): void {
    const opening = this.opening
    this.opening = null
    opening?.then(
      (link) => link.close(),
      () => undefined,
    )
  }

  /** The connection as it is now. @throws MigrateError when the server is out of reach: nothing was sent to it */
  opened(): Promise<RedisLink> {
    if (this.opening !== null) return this.opening
    const opening = RedisLink.open(parseEndpoint(this.url))
    this.opening = opening
    const gone = (): void => {
      if (this.opening === opening) this.opening = null
    }
    opening.then((link) => link.closed.then(gone), gone)
    return opening
  }
}
