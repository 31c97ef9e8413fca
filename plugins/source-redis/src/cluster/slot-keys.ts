import { type DirtyKey, MigrateError } from '@ferrite-migrate/contracts'
import { ReplyError } from '@ferrite-migrate/protocol'
import { type ClusterTopology, isOwnKey, RedisLink, type WireTrace } from '@ferrite-migrate/redis'
import { keysPerSlot } from './slot-survey.js'

/** Lists the keys of slots, over one connection to each shard. Close it. */
export class SlotKeys {
  private readonly topology: ClusterTopology
  private readonly trace: WireTrace | null
  private readonly links = new Map<string, Promise<RedisLink>>()

  constructor(topology: ClusterTopology, trace: WireTrace | null) {
    this.topology = topology
    this.trace = trace
  }

  /** The keys that a shard has of these slots. @throws MigrateError */
  async of(shard: string, slots: readonly number[]): Promise<DirtyKey[]> {
    const link = await this.link(shard)
    const counts = await keysPerSlot(link, slots)
    const filled = slots.flatMap((slot, i) => (counts[i] > 0 ? [{ slot, count: counts[i] }] : []))
    const replies = await link.pipeline((out) => {
      // Some more may have come since they were counted.
      for (const { slot, count } of filled) out.call('CLUSTER', 'GETKEYSINSLOT', slot, count * 2 + 100)
      return filled.length
    })
    return replies.flatMap((reply) => {
      if (reply instanceof ReplyError || !Array.isArray(reply))
        throw new MigrateError('FM_SERVER_REFUSED', 'the keys of a slot cannot be listed', 'See docs/permissions.md.', {
          retryable: true,
        })
      return reply.flatMap((key) => (Buffer.isBuffer(key) && !isOwnKey(key) ? [{ db: 0, key: Buffer.from(key) }] : []))
    })
  }

  async close(): Promise<void> {
    for (const link of this.links.values())
      await link.then(
        (open) => open.close(),
        () => undefined,
      )
  }

  private link(shard: string): Promise<RedisLink> {
    let link = this.links.get(shard)
    if (link === undefined) {
      link = RedisLink.open(this.topology.primaryOf(shard), this.trace)
      this.links.set(shard, link)
      const forget = (): void => {
        this.links.delete(shard)
      }
      link.then((open) => open.closed.then(forget), forget)
    }
    return link
  }
}
