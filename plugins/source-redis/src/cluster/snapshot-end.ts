import type { DirtyKey } from '@ferrite-migrate/contracts'
import { type ClusterTopology, type ClusterView, ownerNames, type SlotKeys } from '@ferrite-migrate/redis'

/** Waits until each of several has come. */
class Gathering {
  private readonly come = new Set<string>()
  private readonly all = Promise.withResolvers<void>()

  /** @returns when everybody has come; true for the last one */
  async join(name: string, of: readonly string[]): Promise<boolean> {
    this.come.add(name)
    const last = of.every((one) => this.come.has(one))
    if (last) this.all.resolve()
    await this.all.promise
    return last
  }
}

/**
 * The end of snapshots of a cluster that nobody follows: each is of another moment, so that a key which moved meanwhile may be in
 * none of them. Every shard goes on listening until all snapshots are read, and what moved is named then, to be read once more.
 */
export class SnapshotEnd {
  private readonly topology: ClusterTopology
  private readonly slotKeys: SlotKeys
  private readonly before: readonly (string | undefined)[]
  private readonly shards: readonly string[]
  private readonly read = new Gathering()
  private readonly heard = new Gathering()
  /** Slots of which something was seen that was not at rest. */
  private readonly marked = new Set<number>()

  /** @param shards whose snapshots are read */
  constructor(topology: ClusterTopology, slotKeys: SlotKeys, shards: readonly string[]) {
    this.topology = topology
    this.slotKeys = slotKeys
    this.before = ownerNames(topology.view)
    this.shards = shards
    this.see(topology.view)
  }

  mark(slot: number): void {
    this.marked.add(slot)
  }

  see(view: ClusterView): void {
    for (const slot of view.moving.keys()) this.marked.add(slot)
    for (const [slot, owner] of ownerNames(view).entries()) if (owner !== this.before[slot]) this.marked.add(slot)
  }

  /** The snapshot of a shard is read: resolves when all are. */
  async snapshotRead(shard: string): Promise<void> {
    await this.read.join(shard, this.shards)
  }

  /**
   * A shard has heard everything up to a place behind the last snapshot. Resolves when all have, for one of them with the keys that
   * may be in no snapshot, for the others with none.
   */
  async streamHeard(shard: string): Promise<readonly DirtyKey[]> {
    if (!(await this.heard.join(shard, this.shards))) return []
    this.see(await this.topology.look())
    return this.slotKeys.everywhere(this.marked)
  }
}
