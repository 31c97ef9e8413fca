import { type DirtyKey, MigrateError } from '@ferrite-migrate/contracts'
import { ReplyError } from '@ferrite-migrate/protocol'
import { isOwnKey } from '../checkpoint-key.js'
import { handshakeError } from '../connect-error.js'
import { RedisLink, type WireTrace } from '../link.js'
import type { ClusterTopology } from './cluster-topology.js'
import type { ClusterView } from './cluster-view.js'

/** Slots that go on moving are listed again so often. */
const ROUNDS = 50
/** A key that goes from a node which was asked late to one that was asked early is found the second time. */
const PASSES = 2

/** How many keys each of these slots of a node has. @throws MigrateError FM_AUTH_RIGHTS, FM_SERVER_* */
export async function keysPerSlot(link: RedisLink, slots: readonly number[]): Promise<number[]> {
  const counts = await link.pipeline((out) => {
    for (const slot of slots) out.call('CLUSTER', 'COUNTKEYSINSLOT', slot)
    return slots.length
  })
  return counts.map((count) => {
    if (count instanceof ReplyError) throw handshakeError(link.endpoint, count.message)
    return Number(count)
  })
}

/** Lists the keys of slots, over one connection to each shard. Close it. */
export class SlotKeys {
  private readonly topology: ClusterTopology
  private readonly trace: WireTrace | null
  private readonly links = new Map<string, Promise<RedisLink>>()

  constructor(topology: ClusterTopology, trace: WireTrace | null = null) {
    this.topology = topology
    this.trace = trace
  }

  /** The keys that a shard holds of these slots, whoever owns them. @throws MigrateError FM_AUTH_RIGHTS, FM_SERVER_*, FM_CONNECT_* */
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
      if (reply instanceof ReplyError) throw handshakeError(link.endpoint, reply.message)
      return (Array.isArray(reply) ? reply : []).flatMap((key) =>
        Buffer.isBuffer(key) && !isOwnKey(key) ? [{ db: 0, key: Buffer.from(key) }] : [],
      )
    })
  }

  /**
   * The keys of these slots at whichever node they are, each once, also while they move.
   * @throws MigrateError FM_CLUSTER_MOVING when they never come to rest for the time that it takes to list them, and what `of` throws
   */
  async everywhere(slots: Iterable<number>): Promise<DirtyKey[]> {
    const found = new Map<string, DirtyKey>()
    let left = [...slots]
    for (let round = 0; left.length > 0; round++) {
      if (round === ROUNDS)
        throw new MigrateError(
          'FM_CLUSTER_MOVING',
          `slots of ${this.topology.label} move faster than their keys can be listed`,
          'Wait until the cluster is at rest, then start again.',
          { retryable: true },
        )
      const before = await this.topology.look()
      for (let pass = 0; pass < PASSES; pass++)
        for (const { name } of before.shards)
          for (const one of await this.of(name, left)) found.set(one.key.toString('latin1'), one)
      const after = await this.topology.look()
      left = left.filter((slot) => placeOf(before, slot) !== placeOf(after, slot))
    }
    return [...found.values()]
  }

  async close(): Promise<void> {
    for (const link of this.links.values())
      await link.then(
        (open) => open.close(),
        () => undefined,
      )
  }

  private link(shard: string): Promise<RedisLink> {
    const place = `${shard} ${this.topology.shard(shard)?.primary.id}`
    let link = this.links.get(place)
    if (link === undefined) {
      link = RedisLink.open(this.topology.primaryOf(shard), this.trace)
      this.links.set(place, link)
      const forget = (): void => {
        this.links.delete(place)
      }
      link.then((open) => open.closed.then(forget), forget)
    }
    return link
  }
}

/** Who has a slot, and where it is going. */
function placeOf({ owners, shards, moving }: ClusterView, slot: number): string {
  return `${shards[owners[slot]]?.name} ${moving.get(slot)?.to ?? ''}`
}
