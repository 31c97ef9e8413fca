import { MigrateError } from '@ferrite-migrate/contracts'
import { type Endpoint, RedisLink, type WireTrace } from '@ferrite-migrate/redis'
import { serverIdentity } from '../lane-connection.js'

/** A primary that this process writes to, as it was when it was accepted. */
export class TargetNode {
  /** Of the cluster. */
  readonly id: string
  /** Its own and those of its replicas, one of which may take its place. */
  readonly ids: readonly string[]
  /** Stays the same when a replica takes over. */
  readonly shard: string
  readonly endpoint: Endpoint
  /** Of its process. */
  readonly identity: string
  private readonly trace: WireTrace | null
  private readonly admit: () => Promise<void>
  private readonly links = new Map<string, Promise<RedisLink>>()
  private closed = false

  private constructor(
    shard: string,
    ids: readonly string[],
    endpoint: Endpoint,
    identity: string,
    trace: WireTrace | null,
    admit: () => Promise<void>,
  ) {
    this.shard = shard
    this.id = ids[0]
    this.ids = ids
    this.endpoint = endpoint
    this.identity = identity
    this.trace = trace
    this.admit = admit
  }

  /**
   * @param admit asked on each connection by which something is written, once it has its name; throws when that may not be any more
   * @throws MigrateError FM_CONNECT_*, FM_AUTH_*
   */
  static async accept(
    shard: string,
    ids: readonly string[],
    endpoint: Endpoint,
    trace: WireTrace | null,
    admit: () => Promise<void>,
  ): Promise<TargetNode> {
    const link = await RedisLink.open(endpoint)
    try {
      return new TargetNode(shard, ids, endpoint, await serverIdentity(link), trace, admit)
    } finally {
      link.close()
    }
  }

  /**
   * A connection for the few things whose reply must be looked at.
   * @param clientName by which a later process ends it; what has no name is not ended
   * @throws MigrateError FM_TARGET_LOST when another process answers; FM_RUN_TAKEN
   */
  async link(clientName?: string): Promise<RedisLink> {
    // Whoever still waits for it belongs to the time before the cluster was accepted anew.
    if (this.closed) throw lostNode(`${this.endpoint.label} was left`)
    const name = clientName ?? ''
    let link = this.links.get(name)
    if (link === undefined) {
      link = this.open(clientName)
      this.links.set(name, link)
      const forget = (): void => {
        if (this.links.get(name) === link) this.links.delete(name)
      }
      link.then((open) => open.closed.then(forget), forget)
    }
    return link
  }

  async close(): Promise<void> {
    this.closed = true
    for (const link of [...this.links.values()])
      await link.then(
        (open) => open.close(),
        () => undefined,
      )
    this.links.clear()
  }

  private async open(clientName: string | undefined): Promise<RedisLink> {
    const link = await RedisLink.open(
      { ...this.endpoint, ...(clientName === undefined ? {} : { clientName }) },
      this.trace,
    )
    const same = (await serverIdentity(link)) === this.identity
    if (same && clientName !== undefined)
      await this.admit().catch((error: unknown) => {
        link.close()
        throw error
      })
    if (same && !this.closed) return link
    link.close()
    if (same) throw lostNode(`${this.endpoint.label} was left`)
    throw lostNode(`${this.endpoint.label} was restarted and may have lost what was written`)
  }
}

/** The error for a node that may not have what it was told. */
export function lostNode(what: string): MigrateError {
  return new MigrateError(
    'FM_TARGET_LOST',
    what,
    'The migration goes on from the checkpoints at the target, or copies again.',
    { retryable: true },
  )
}
