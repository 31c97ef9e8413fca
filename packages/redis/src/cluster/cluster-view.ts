import { SLOTS } from '@ferrite-migrate/protocol'
import type { ClusterNode, MovingSlot, NodesAnswer } from './cluster-nodes.js'

/** A primary with its replicas. */
export interface ClusterShard {
  /** Stays the same when a replica takes over. */
  readonly name: string
  readonly primary: ClusterNode
  readonly replicas: readonly ClusterNode[]
}

/** The cluster as its nodes together see it. */
export interface ClusterView {
  readonly shards: readonly ClusterShard[]
  /** The place in `shards` of each slot's owner; -1 = it has none. */
  readonly owners: Int16Array
  /** Slots whose owner not all primaries that answered agree upon. */
  readonly disputed: ReadonlySet<number>
  /** Slots under way, by number. */
  readonly moving: ReadonlyMap<number, MovingSlot>
}

/** Names of shards, which outlive a failover: whoever was seen together once belongs together. */
export class ShardNames {
  private readonly names = new Map<string, string>()

  /** The least id of a group where none of it is known, so that another process finds the same. */
  of(ids: readonly string[]): string {
    const known = ids.find((id) => this.names.has(id))
    const name = known === undefined ? [...ids].sort()[0] : this.names.get(known)!
    for (const id of ids) this.names.set(id, name)
    return name
  }
}

/** Of several who claim a slot, the one with the later epoch has it: as in the cluster itself. */
function claims(answers: readonly NodesAnswer[]): { owners: (string | null)[]; disputed: Set<number> } {
  const owners = new Array<string | null>(SLOTS).fill(null)
  const epochs = new Float64Array(SLOTS).fill(-1)
  const disputed = new Set<number>()
  for (const [i, { nodes }] of answers.entries()) {
    const said = i === 0 ? null : new Uint8Array(SLOTS)
    for (const { id, role, epoch, slots } of nodes) {
      if (role !== 'primary') continue
      for (const [first, last] of slots) {
        said?.fill(1, first, last + 1)
        for (let slot = first; slot <= last; slot++) {
          if (i > 0 && owners[slot] !== id) disputed.add(slot)
          if (epoch <= epochs[slot]) continue
          owners[slot] = id
          epochs[slot] = epoch
        }
      }
    }
    for (let slot = 0; said !== null && slot < SLOTS; slot++)
      if (said[slot] === 0 && owners[slot] !== null) disputed.add(slot)
  }
  return { owners, disputed }
}

/**
 * Makes one view of what several nodes say.
 * @param answers at least one
 */
export function viewOf(answers: readonly NodesAnswer[], names: ShardNames): ClusterView {
  const { owners: ids, disputed } = claims(answers)
  const nodes = new Map<string, ClusterNode>()
  for (const answer of answers)
    for (const node of answer.nodes) {
      const known = nodes.get(node.id)
      // A node knows best what it is itself.
      if (known === undefined || node.epoch > known.epoch || answer.self === node.id) nodes.set(node.id, node)
    }
  const shards: ClusterShard[] = []
  for (const primary of nodes.values()) {
    if (primary.role !== 'primary') continue
    const replicas = [...nodes.values()].filter((node) => node.primary === primary.id)
    // A former primary that is down has lost its slots to one of its replicas.
    if (primary.slots.length === 0 && primary.failed) continue
    shards.push({ name: names.of([primary.id, ...replicas.map(({ id }) => id)]), primary, replicas })
  }
  // Whoever answers first must not decide about the order.
  shards.sort((a, b) => (a.name < b.name ? -1 : 1))
  const places = new Map(shards.map(({ primary }, place) => [primary.id, place]))
  const moving = new Map<number, MovingSlot>()
  // A node that lost a slot to another one may show it as under way for ever.
  for (const answer of answers)
    for (const move of answer.moving) if (ids[move.slot] === move.from) moving.set(move.slot, move)
  return {
    shards,
    owners: Int16Array.from(ids, (id) => (id === null ? -1 : (places.get(id) ?? -1))),
    disputed,
    moving,
  }
}

/** Two nodes that answered and have no node in common, by any way over the others; null = all are of one cluster. */
export function strangers(answers: readonly NodesAnswer[]): readonly [string, string] | null {
  const [first, ...rest] = answers
  if (first === undefined) return null
  const known = new Set([first.self, ...first.nodes.map(({ id }) => id)])
  let left = rest
  for (;;) {
    const others = left.filter(({ self, nodes }) => !known.has(self) && !nodes.some(({ id }) => known.has(id)))
    if (others.length === 0) return null
    if (others.length === left.length) return [first.self, others[0].self]
    for (const { self, nodes } of left)
      if (!others.some((one) => one.self === self)) for (const { id } of nodes) known.add(id)
    left = others
  }
}

/** The name of the shard that has each slot; undefined = it has no owner. */
export function ownerNames({ owners, shards }: ClusterView): (string | undefined)[] {
  return Array.from(owners, (place) => shards[place]?.name)
}

/** Slots as people write them: `0-5460,5462`. */
export function slotRanges(slots: Iterable<number>): string {
  const ranges: [number, number][] = []
  for (const slot of slots) {
    const last = ranges.at(-1)
    if (last !== undefined && last[1] === slot - 1) last[1] = slot
    else ranges.push([slot, slot])
  }
  return ranges.map(([first, last]) => (first === last ? `${first}` : `${first}-${last}`)).join(',')
}
