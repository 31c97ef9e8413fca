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
import { ownerNames } from './cluster-view.js'
import { SlotKeys } from './slot-keys.js'

/** How often keys are asked for again that a node says are elsewhere. */
const TRIES = 40
const AGAIN_MS = 50
/** Keys of one page, of those that moved. */
const PAGE = 1000

/**
 * Reads the keys of a cluster, each from the node that has its slot. Where the slot is under way, from the node that has the key: the
 * former owner as long as it holds it, else the one that is getting the slot.
 */
export class ClusterKeyReader implements KeyReader {
  private readonly topology: ClusterTopology
  private readonly options: RedisKeyReaderOptions
  private readonly nodes = new Map<string, RedisKeyReader>()
  private readonly slotKeys: SlotKeys

  constructor(topology: ClusterTopology, options: RedisKeyReaderOptions = {}) {
    this.topology = topology
    this.options = options
    this.slotKeys = new SlotKeys(topology, options.trace)
  }

  /** Each node gives what it has; a key that moves meanwhile may come twice. */
  async *keys(filter: KeyFilter = {}): AsyncGenerator<readonly DirtyKey[]> {
    const before = ownerNames(this.topology.view)
    for (const { name } of this.topology.view.shards)
      if (filter.shards?.includes(name) ?? true) yield* this.node(name).keys(filter)
    // What went from a node that was yet to be asked to one that had been asked already came from neither.
    const view = await this.topology.look()
    const moved = new Set<number>(view.moving.keys())
    for (const [slot, owner] of ownerNames(view).entries()) if (owner !== before[slot]) moved.add(slot)
    if (moved.size === 0 || filter.dbs?.includes(0) === false) return
    if (filter.match !== undefined) {
      // Only a server knows its patterns.
      for (const { name } of view.shards)
        for await (const page of this.node(name).keys(filter)) {
          const keys = page.filter(({ key }) => moved.has(keySlot(key)))
          if (keys.length > 0) yield keys
        }
      return
    }
    const keys = await this.slotKeys.everywhere(moved)
    for (let at = 0; at < keys.length; at += PAGE) yield keys.slice(at, at + PAGE)
  }

  /** The same without a place to go on from: slots move, and cursors of a node say nothing to another. */
  async *scan(filter: KeyFilter = {}): AsyncGenerator<{ readonly keys: readonly DirtyKey[]; readonly next: null }> {
    for await (const keys of this.keys(filter)) yield { keys, next: null }
  }

  /** Keys in groups whose values take about so many bytes at most; those of a group are of one node. */
  async byBytes(db: number, keys: readonly Buffer[], most: number): Promise<readonly (readonly Buffer[])[]> {
    const groups = await Promise.all(
      [
        ...this.byNode(
          keys,
          keys.map((_, i) => i),
        ),
      ].map(([name, indexes]) =>
        this.node(name).byBytes(
          db,
          indexes.map((i) => keys[i]),
          most,
        ),
      ),
    )
    return groups.flat()
  }

  async size(): Promise<ReadonlyMap<number, number>> {
    const sum = new Map<number, number>()
    for (const { name } of this.topology.view.shards)
      for (const [db, keys] of await this.node(name).size()) sum.set(db, (sum.get(db) ?? 0) + keys)
    return sum
  }

  read(db: number, keys: readonly Buffer[], whole = false): Promise<readonly (SnapshotRecord | null)[]> {
    return this.perNode(keys, (node, some) => node.read(db, some, whole))
  }

  digest(db: number, keys: readonly Buffer[]): Promise<readonly (Buffer | null)[]> {
    return this.perNode(keys, (node, some) => node.digest(db, some))
  }

  expiries(db: number, keys: readonly Buffer[]): Promise<readonly number[]> {
    return this.perNode(keys, (node, some) => node.expiries(db, some))
  }

  exist(db: number, keys: readonly Buffer[]): Promise<readonly boolean[]> {
    return this.perNode(keys, (node, some) => node.exist(db, some))
  }

  describe(db: number, keys: readonly Buffer[]): Promise<readonly (KeyDescription | null)[]> {
    return this.perNode(keys, (node, some) => node.describe(db, some))
  }

  async close(): Promise<void> {
    await Promise.all([this.slotKeys, ...this.nodes.values()].map((one) => one.close()))
    this.nodes.clear()
  }

  /** Connections to the primary of before are of no use once another one has its place. */
  private node(name: string, asking = false): RedisKeyReader {
    const place = `${name} ${this.topology.shard(name)?.primary.id} ${asking}`
    let node = this.nodes.get(place)
    if (node === undefined) {
      const endpoint = this.topology.primaryOf(name)
      node = new RedisKeyReader(asking ? { ...endpoint, asking } : endpoint, this.options)
      this.nodes.set(place, node)
    }
    return node
  }

  /**
   * Asks each node for its keys. Where one answers that a key is elsewhere, the topology is looked at again and those keys are asked
   * for once more.
   */
  private async perNode<T>(
    keys: readonly Buffer[],
    ask: (node: RedisKeyReader, keys: readonly Buffer[]) => Promise<readonly T[]>,
  ): Promise<readonly T[]> {
    const answers = new Array<T>(keys.length)
    let left = keys.map((_, i) => i)
    for (let tries = 0; left.length > 0; tries++) {
      const again: number[] = []
      const answer = async (node: RedisKeyReader, indexes: readonly number[]): Promise<void> => {
        if (indexes.length === 0) return
        const some = indexes.map((i) => keys[i])
        for (const [j, one] of (await ask(node, some)).entries()) answers[indexes[j]] = one
      }
      const orAgain = async (indexes: readonly number[], work: Promise<void>): Promise<void> => {
        try {
          await work
        } catch (error) {
          if (!isElsewhere(error) || tries >= TRIES) throw error
          again.push(...indexes)
        }
      }
      /** What the former owner does not hold any more only goes to the new one: whoever is asked last knows. */
      const leave = async (name: string, to: string, indexes: readonly number[]): Promise<void> => {
        const held = await this.node(name).held(indexes.map((i) => keys[i]))
        await answer(
          this.node(name),
          indexes.filter((_, j) => held[j]),
        )
        await answer(
          this.node(to, true),
          indexes.filter((_, j) => !held[j]),
        )
      }
      await Promise.all(
        [...this.byNode(keys, left)].flatMap(([name, indexes]) => {
          const { settled, leaving } = this.settledAndLeaving(keys, indexes)
          return [
            orAgain(settled, answer(this.node(name), settled)),
            ...[...leaving].map(([to, some]) => orAgain(some, leave(name, to, some))),
          ]
        }),
      )
      left = again
      if (left.length === 0) break
      await new Promise((resolve) => setTimeout(resolve, AGAIN_MS))
      await this.topology.look()
    }
    return answers
  }

  /** Keys of one node: those of slots that stay, and by the shard that gets them those of slots under way. */
  private settledAndLeaving(
    keys: readonly Buffer[],
    indexes: readonly number[],
  ): { settled: readonly number[]; leaving: ReadonlyMap<string, number[]> } {
    const { moving, shards } = this.topology.view
    const leaving = new Map<string, number[]>()
    if (moving.size === 0) return { settled: indexes, leaving }
    const settled: number[] = []
    for (const i of indexes) {
      const move = moving.get(keySlot(keys[i]))
      const to = move && shards.find(({ primary }) => primary.id === move.to)?.name
      if (to === undefined) settled.push(i)
      else {
        const some = leaving.get(to)
        if (some === undefined) leaving.set(to, [i])
        else some.push(i)
      }
    }
    return { settled, leaving }
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
