import { MigrateError } from '@ferrite-migrate/contracts'
import { keySlot, SLOTS } from '@ferrite-migrate/protocol'
import {
  type ClusterShard,
  type ClusterTopology,
  type Endpoint,
  printAddress,
  type RedisLink,
  type WireTrace,
} from '@ferrite-migrate/redis'
import { lostNode, TargetNode } from './target-node.js'

/** Where something for a slot is to be sent. */
export interface Way {
  readonly node: TargetNode
  /** The slot is on its way there: what it has not got yet it takes only after ASKING. */
  readonly asking: boolean
}

/** A node with so many keys is not looked through. */
const FEW_KEYS = 500

/** Slots in which a node with few keys has some; null = it has many, or who asks may not know. */
async function heldSlots(link: RedisLink): Promise<ReadonlySet<number> | null> {
  const size = await link.call('DBSIZE').catch(() => null)
  if (typeof size !== 'number' || size > FEW_KEYS) return null
  const held = new Set<number>()
  if (size === 0) return held
  let cursor = '0'
  do {
    const page = await link.call('SCAN', cursor, 'COUNT', '1000').catch(() => null)
    if (!Array.isArray(page) || !Array.isArray(page[1])) return null
    cursor = String(page[0])
    for (const key of page[1]) {
      if (!Buffer.isBuffer(key)) return null
      held.add(keySlot(key))
    }
  } while (cursor !== '0')
  return held
}

/** How old a topology may be where it matters who has which slot, ms. */
const FRESH_MS = 1000

/**
 * The primaries of the cluster as this process has accepted them. One that another node has replaced, or whose process is
 * another one, may have lost what was written: nothing goes to it before everything is looked at again.
 */
export class TargetNodes {
  readonly topology: ClusterTopology
  readonly endpoint: Endpoint
  /** Asked on each connection by which something is written. @throws MigrateError FM_RUN_TAKEN */
  admit: () => Promise<void> = async () => undefined
  private readonly trace: WireTrace | null
  private readonly accepted = new Map<string, TargetNode>()
  /** Slots that were written to at a node which does not own them yet. */
  private readonly ahead = new Map<number, TargetNode>()
  private lookedAt = 0
  private looking: Promise<void> | null = null

  constructor(topology: ClusterTopology, endpoint: Endpoint, trace: WireTrace | null) {
    this.topology = topology
    this.endpoint = endpoint
    this.trace = trace
  }

  get label(): string {
    return this.endpoint.label
  }

  /** All that have slots. @throws MigrateError as `ofSlot` */
  get all(): readonly TargetNode[] {
    return this.owning().map(({ shard }) => this.ofShard(shard))
  }

  /**
   * Takes the cluster as it is now.
   * @throws MigrateError when a slot has no owner, or an owner does not answer: it may do so later
   */
  async acceptAll(): Promise<void> {
    await this.topology.look()
    const bare = this.topology.view.owners.indexOf(-1)
    if (bare >= 0 || this.topology.view.owners.length < SLOTS) throw this.bare(Math.max(0, bare))
    await this.forgetAll()
    for (const { shard } of this.owning()) await this.accept(shard)
    this.lookedAt = Date.now()
  }

  /** Looks which node has which slot; new nodes are accepted, changed ones are not. */
  look(): Promise<void> {
    this.looking ??= this.lookAgain().finally(() => {
      this.looking = null
    })
    return this.looking
  }

  async lookIfOld(): Promise<void> {
    if (Date.now() - this.lookedAt > FRESH_MS) await this.look()
  }

  /** @throws MigrateError FM_TARGET_LOST when its shard has another primary now; FM_CLUSTER_DOWN when it has no owner */
  ofSlot(slot: number): TargetNode {
    const shard = this.topology.ownerOf(slot)
    if (shard === undefined) throw this.bare(slot)
    return this.ofShard(shard)
  }

  /**
   * Where a slot is to be sent after a node has refused it with these words.
   * @throws MigrateError as `ofSlot`
   */
  wayAfter(slot: number, text: string): Way {
    const move = this.topology.view.moving.get(slot)
    if (!text.startsWith('ASK ') || move === undefined) return { node: this.ofSlot(slot), asking: false }
    const shard = this.topology.view.shards.find(({ primary }) => primary.id === move.to)
    const node = shard === undefined ? undefined : this.accepted.get(shard.name)
    if (node === undefined || node.id !== move.to) return { node: this.ofSlot(slot), asking: false }
    this.ahead.set(slot, node)
    return { node, asking: true }
  }

  /** The slots of each node: those whose keys are in its stream, whoever owns them. */
  slotsOf(): Map<TargetNode, number[]> {
    const { view } = this.topology
    const nodes = view.shards.map((shard) => this.accepted.get(shard.name))
    const slots = new Map<TargetNode, number[]>()
    for (let slot = 0; slot < SLOTS; slot++) {
      let node = nodes[view.owners[slot]]
      const ahead = this.ahead.get(slot)
      if (ahead !== undefined) {
        if (view.moving.has(slot)) node = ahead
        else this.ahead.delete(slot)
      }
      if (node === undefined) continue
      const some = slots.get(node)
      if (some === undefined) slots.set(node, [slot])
      else some.push(slot)
    }
    return slots
  }

  /** Slots that hold no key, of nodes that have few keys or none; none of them while slots move, when a key may be anywhere. */
  async emptySlots(): Promise<ReadonlySet<number>> {
    const { topology } = this
    const before = await topology.look()
    const empty = new Set<number>()
    for (const [node, slots] of this.slotsOf()) {
      const held = await heldSlots(await node.link())
      if (held !== null) for (const slot of slots) if (!held.has(slot)) empty.add(slot)
    }
    const after = await topology.look()
    const atRest = before.moving.size === 0 && after.moving.size === 0 && before.disputed.size === 0
    const same =
      before.shards.length === after.shards.length &&
      before.shards.every(({ name }, i) => name === after.shards[i].name)
    return atRest && same && before.owners.every((owner, slot) => owner === after.owners[slot]) ? empty : new Set()
  }

  /** The lowest and the highest slot that a node owns. */
  edgesOf(node: TargetNode): readonly number[] {
    const { owners, shards } = this.topology.view
    const place = shards.findIndex(({ name }) => name === node.shard)
    const first = owners.indexOf(place)
    const last = owners.lastIndexOf(place)
    return first < 0 ? [] : first === last ? [first] : [first, last]
  }

  /** A node did not answer: is it still the one? @throws MigrateError FM_TARGET_LOST when it is not */
  async stillThere(node: TargetNode): Promise<void> {
    await this.look().catch(() => undefined)
    const shard = this.topology.shard(node.shard)
    if (shard !== undefined && shard.primary.id !== node.id) throw this.replaced(node, shard)
  }

  async close(): Promise<void> {
    await this.forgetAll()
    this.topology.close()
  }

  private async forgetAll(): Promise<void> {
    const nodes = [...this.accepted.values()]
    this.accepted.clear()
    this.ahead.clear()
    await Promise.all(nodes.map((node) => node.close()))
  }

  private async lookAgain(): Promise<void> {
    await this.topology.look()
    this.lookedAt = Date.now()
    for (const { shard } of this.owning()) if (!this.accepted.has(shard.name)) await this.accept(shard)
  }

  private owning(): { readonly shard: ClusterShard; readonly place: number }[] {
    const { shards, owners } = this.topology.view
    return shards.map((shard, place) => ({ shard, place })).filter(({ place }) => owners.includes(place))
  }

  private ofShard(shard: ClusterShard): TargetNode {
    const node = this.accepted.get(shard.name)
    if (node === undefined)
      throw new MigrateError(
        'FM_CLUSTER_NODE',
        `the cluster has a node that was not looked at yet: ${shard.primary.id}`,
        'Try again.',
        { retryable: true },
      )
    if (node.id !== shard.primary.id) throw this.replaced(node, shard)
    return node
  }

  private replaced(node: TargetNode, { primary }: ClusterShard): MigrateError {
    return lostNode(
      `the node ${node.endpoint.label} was replaced by ${primary.address === null ? primary.id : printAddress(primary.address)}, which may not have what was written last`,
    )
  }

  private async accept(shard: ClusterShard): Promise<void> {
    const { name, primary, replicas } = shard
    const at = this.topology.addressOf(primary)
    const endpoint: Endpoint = {
      ...this.endpoint,
      ...at,
      db: 0,
      locate: async () => at,
      label: `${this.endpoint.label.replace(/:\/\/.*$/s, '')}://${printAddress(at)}`,
    }
    const ids = [primary.id, ...replicas.map(({ id }) => id)]
    this.accepted.set(name, await TargetNode.accept(name, ids, endpoint, this.trace, () => this.admit()))
  }

  private bare(slot: number): MigrateError {
    return new MigrateError(
      'FM_CLUSTER_DOWN',
      `slot ${slot} of the cluster at ${this.label} has no owner`,
      'Look at CLUSTER NODES for what is missing; the slot has to be given to a node.',
      { retryable: true },
    )
  }
}
