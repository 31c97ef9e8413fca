import {
  type DirtyKey,
  type KeyDescription,
  type KeyFilter,
  type KeyReader,
  MigrateError,
  type SnapshotRecord,
} from '@ferrite-migrate/contracts'
import { keySlot } from '@ferrite-migrate/protocol'
import { RedisKeyReader, type RedisKeyReaderOptions } from '../key-reader.js'
import type { ClusterTopology } from './cluster-topology.js'

/** How often keys are asked for again that were just on their way to another node. */
const TRIES = 40
const AGAIN_MS = 50

/** Reads the keys of a cluster, each from the node that has its slot. A key on its way is asked for until it has arrived. */
export class ClusterKeyReader implements KeyReader {
  private readonly topology: ClusterTopology
  private readonly options: RedisKeyReaderOptions
  private readonly nodes = new Map<string, RedisKeyReader>()

  constructor(topology: ClusterTopology, options: RedisKeyReaderOptions = {}) {
    this.topology = topology
    this.options = options
  }

  /** Each node gives what it has; a key that moves meanwhile may come twice. */
  async *keys(filter: KeyFilter = {}): AsyncGenerator<readonly DirtyKey[]> {
    const before = this.topology.view.owners
    for (const { name } of this.topology.view.shards) yield* this.node(name).keys(filter)
    // What went from a node that was yet to be asked to one that had been asked already came from neither.
    const { owners, shards } = await this.topology.look()
    const moved = new Set<number>()
    for (let slot = 0; slot < owners.length; slot++) if (owners[slot] !== before[slot]) moved.add(slot)
    if (moved.size === 0) return
    for (const { name } of shards)
      for await (const page of this.node(name).keys(filter)) {
        const keys = page.filter(({ key }) => moved.has(keySlot(key)))
        if (keys.length > 0) yield keys
      }
  }

  async size(): Promise<ReadonlyMap<number, number>> {
    const sum = new Map<number, number>()
    for (const { name } of this.topology.view.shards)
      for (const [db, keys] of await this.node(name).size()) sum.set(db, (sum.get(db) ?? 0) + keys)
    return sum
  }

  read(db: number, keys: readonly Buffer[], whole = false): Promise<readonly (SnapshotRecord | null)[]> {
    return this.perNode(
      keys,
      (node, some) => node.read(db, some, whole),
      (record) => record === null,
    )
  }

  digest(db: number, keys: readonly Buffer[]): Promise<readonly (Buffer | null)[]> {
    return this.perNode(
      keys,
      (node, some) => node.digest(db, some),
      (digest) => digest === null,
    )
  }

  expiries(db: number, keys: readonly Buffer[]): Promise<readonly number[]> {
    return this.perNode(
      keys,
      (node, some) => node.expiries(db, some),
      (end) => end === -1,
    )
  }

  exist(db: number, keys: readonly Buffer[]): Promise<readonly boolean[]> {
    return this.perNode(
      keys,
      (node, some) => node.exist(db, some),
      (there) => !there,
    )
  }

  describe(db: number, keys: readonly Buffer[]): Promise<readonly (KeyDescription | null)[]> {
    return this.perNode(
      keys,
      (node, some) => node.describe(db, some),
      (one) => one === null,
    )
  }

  async close(): Promise<void> {
    await Promise.all([...this.nodes.values()].map((node) => node.close()))
    this.nodes.clear()
  }

  /** Connections to the primary of before are of no use once another one has its place. */
  private node(name: string): RedisKeyReader {
    const place = `${name} ${this.topology.shard(name)?.primary.id}`
    let node = this.nodes.get(place)
    if (node === undefined) {
      node = new RedisKeyReader(this.topology.primaryOf(name), this.options)
      this.nodes.set(place, node)
    }
    return node
  }

  /**
   * Asks each node for its keys. Where one answers that a key is elsewhere, or has none of a slot that is under way, the topology is
   * looked at again and those keys are asked for once more.
   */
  private async perNode<T>(
    keys: readonly Buffer[],
    ask: (node: RedisKeyReader, keys: readonly Buffer[]) => Promise<readonly T[]>,
    isGone: (answer: T) => boolean,
  ): Promise<readonly T[]> {
    const answers = new Array<T>(keys.length)
    let left = keys.map((_, i) => i)
    for (let tries = 0; left.length > 0; tries++) {
      const again: number[] = []
      await Promise.all(
        [...this.byNode(keys, left)].map(async ([name, indexes]) => {
          const some = indexes.map((i) => keys[i])
          const got = await ask(this.node(name), some).catch((error: unknown) => {
            if (!isElsewhere(error) || tries >= TRIES) throw error
            again.push(...indexes)
            return null
          })
          for (const [j, i] of indexes.entries()) if (got !== null) answers[i] = got[j]
        }),
      )
      for (const i of left) {
        if (again.includes(i) || !isGone(answers[i]) || tries >= TRIES) continue
        if (this.topology.view.moving.has(keySlot(keys[i]))) again.push(i)
      }
      left = again
      if (left.length === 0) break
      await new Promise((resolve) => setTimeout(resolve, AGAIN_MS))
      await this.topology.look()
    }
    return answers
  }

  private byNode(keys: readonly Buffer[], indexes: readonly number[]): Map<string, number[]> {
    const groups = new Map<string, number[]>()
    for (const i of indexes) {
      const shard = this.topology.ownerOf(keySlot(keys[i]))
      if (shard === undefined)
        throw new MigrateError(
          'FM_CLUSTER_DOWN',
          `slot ${keySlot(keys[i])} of the cluster has no owner`,
          'Wait until the cluster is whole again, or give the slot to a node.',
          { retryable: true },
        )
      const group = groups.get(shard.name)
      if (group === undefined) groups.set(shard.name, [i])
      else group.push(i)
    }
    return groups
  }
}

/** A node says that a key is not its own. */
function isElsewhere(error: unknown): boolean {
  return error instanceof MigrateError && /\b(MOVED|ASK|TRYAGAIN|CLUSTERDOWN) /.test(`${error.message} `)
}
