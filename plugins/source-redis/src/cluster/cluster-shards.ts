import { type DirtyKey, type Logger, MigrateError, type ShardChange } from '@ferrite-migrate/contracts'
import { keySlot } from '@ferrite-migrate/protocol'
import { type ClusterTopology, type ClusterView, SlotKeys, type WireTrace } from '@ferrite-migrate/redis'
import type { PsyncShard } from '../psync-shard.js'
import { ClusterShard, type ClusterShardNeeds } from './cluster-shard.js'
import { DoubtfulKeys } from './doubtful-keys.js'
import { SlotHandover } from './slot-handover.js'
import { SlotOwners } from './slot-owners.js'
import { SnapshotEnd } from './snapshot-end.js'

/** A look is taken at once when something comes that nobody expected, but not more often than this. */
const SURPRISE_MS = 20
const NOBODY: readonly string[] = []
/** Looks in a row without a shard before it counts as gone. */
const GONE_AFTER = 3

/** What the shards of a cluster are made with. */
export interface ClusterShardsNeeds {
  readonly topology: ClusterTopology
  readonly logger: Logger
  readonly trace: WireTrace | null
  /** The shards that are read in this process, as `apart` takes them; absent = all. */
  readonly only?: readonly string[]
  /** The stream of a shard, whichever node is its primary. */
  stream(shard: string, elsewhere: (keys: readonly DirtyKey[]) => void): Promise<PsyncShard>
}

/** What ends the reading of a shard whose slots another process would have to give or take. */
function shardsMoved(slot: number): MigrateError {
  return new MigrateError(
    'FM_SHARDS_MOVED',
    `the slot ${slot} of the source moves from shard to shard, and the shards are read by different processes`,
    'One process reads all of them until the slots are at rest.',
    { retryable: false },
  )
}

/** The shards of a cluster, and who of them has which slot. */
export class ClusterShards {
  readonly all: ClusterShard[] = []
  private readonly needs: ClusterShardsNeeds
  private readonly doubtful = new DoubtfulKeys()
  private readonly owners: SlotOwners
  private readonly handover: SlotHandover
  /** Whose slots each shard had when it was read up to where it begins; null = it begins anew. */
  private readonly claims = new Map<string, readonly number[] | null>()
  private readonly begun = Promise.withResolvers<void>()
  private isBegun = false
  private readonly slotKeys: SlotKeys
  /** Null = changes are followed. */
  private end: SnapshotEnd | null = null
  private readonly changes: ShardChange[] = []
  private told: (() => void) | null = null
  private readonly missing = new Map<string, number>()
  private surprise: NodeJS.Timeout | null = null
  private unfollow: (() => void) | null = null
  /** The shards that are read in this process; null = all. */
  private only: ReadonlySet<string> | null = null

  private constructor(needs: ClusterShardsNeeds) {
    this.needs = needs
    this.slotKeys = new SlotKeys(needs.topology, needs.trace)
    this.owners = new SlotOwners((slot) => this.handover.isDoubtful(slot))
    this.handover = new SlotHandover(this.owners, this.doubtful, needs.logger)
  }

  static async open(needs: ClusterShardsNeeds): Promise<ClusterShards> {
    const shards = new ClusterShards(needs)
    const { topology, only } = needs
    for (const { name, primary } of topology.view.shards)
      if (primary.slots.length > 0 && (only?.includes(name) ?? true)) await shards.add(name)
    if (only !== undefined) shards.apart(only)
    shards.unfollow = topology.follow((view) => void shards.see(view))
    return shards
  }

  /** From now on only these are read in this process, and nothing can be handed over: what would have to be ends the reading. */
  apart(shards: readonly string[]): void {
    this.only = new Set(shards)
    this.needs.topology.mind(shards)
  }

  /** The slots that a shard begins anew with are those that it has now. */
  ownsBefore(shard: string, slot: number): boolean {
    return !this.isBegun && this.needs.topology.ownerOf(slot)?.name === shard
  }

  /** Slots and keys that are on their way from shard to shard. */
  get pending(): number {
    return this.all.reduce((sum, { waiting }) => sum + waiting, this.handover.pending)
  }

  /** Shards that come and go from now on; ends when the signal aborts. */
  async *watch(signal: AbortSignal): AsyncGenerator<ShardChange> {
    const wake = (): void => this.told?.()
    signal.addEventListener('abort', wake, { once: true })
    while (!signal.aborted) {
      yield* this.changes.splice(0)
      if (signal.aborted) return
      await new Promise<void>((resolve) => {
        this.told = resolve
      })
    }
  }

  async close(): Promise<void> {
    this.unfollow?.()
    if (this.surprise !== null) clearTimeout(this.surprise)
    this.told?.()
    await this.slotKeys.close()
    await Promise.all(this.all.map((shard) => shard.close()))
  }

  private async add(name: string): Promise<ClusterShard> {
    const shard = new ClusterShard(name, await this.needs.stream(name, (keys) => this.doubt(keys)), this.shardNeeds())
    this.all.push(shard)
    return shard
  }

  private shardNeeds(): ClusterShardNeeds {
    return {
      ...{ owners: this.owners, doubtful: this.doubtful, handover: this.handover },
      begin: (shard, slots) => this.begin(shard, slots),
      changed: (surprise) => this.changed(surprise),
      standing: (shard) => this.standing(shard),
      ownsBefore: (shard, slot) => this.ownsBefore(shard, slot),
      leftOut: (slot) => {
        if (this.only !== null && this.end === null) this.handover.failure ??= shardsMoved(slot)
      },
      keysOf: (shard, slots) => this.slotKeys.of(shard, slots),
      snapshotEnd: () => this.snapshotEnd(),
    }
  }

  /** Waits until every shard has said what it begins with: who has a slot is not known before. */
  private async begin(shard: string, slots: readonly number[] | null): Promise<void> {
    if (this.isBegun) {
      // Read once more from an earlier place: what it took over since then is to be taken over again.
      if (slots === null) return
      const had = new Set(slots)
      const since = this.owners.slotsOf(shard).filter((slot) => !had.has(slot))
      if (since.length > 0) this.owners.give(since, null)
      return
    }
    this.claims.set(shard, slots)
    if (this.claims.size < (this.only?.size ?? this.all.length)) return this.begun.promise
    await this.needs.topology.look()
    this.settleClaims()
    this.isBegun = true
    this.begun.resolve()
  }

  /** A slot is a shard's that says so alone; where none does, and its owner begins anew, it is that one's. */
  private settleClaims(): void {
    const { view } = this.needs.topology
    const claimers = new Map<number, string[]>()
    const gifts = new Map<string, number[]>()
    for (const [shard, slots] of this.claims) {
      gifts.set(shard, [])
      for (const slot of slots ?? []) {
        const others = claimers.get(slot)
        if (others === undefined) claimers.set(slot, [shard])
        else others.push(shard)
      }
    }
    for (let slot = 0; slot < view.owners.length; slot++) {
      const claimed = claimers.get(slot) ?? NOBODY
      const owner = view.shards[view.owners[slot]]?.name
      const shard =
        claimed.length === 1
          ? claimed[0]
          : claimed.length === 0 && owner !== undefined && this.claims.get(owner) === null
            ? owner
            : undefined
      if (shard !== undefined) gifts.get(shard)?.push(slot)
    }
    for (const [shard, slots] of gifts) if (slots.length > 0) this.owners.give(slots, shard)
  }

  /** Nothing is handed over where nobody follows: what moved is read again in the end. */
  private snapshotEnd(): SnapshotEnd {
    const { topology } = this.needs
    this.end ??= new SnapshotEnd(
      topology,
      this.slotKeys,
      this.all.map(({ id }) => id),
    )
    return this.end
  }

  private async see(view: ClusterView): Promise<void> {
    // Whoever reads none of them only wants to know which there are.
    if (this.only?.size === 0) return this.seeShards(view)
    if (!this.isBegun) return
    if (this.end !== null) {
      this.end.see(view)
      return
    }
    if (this.only !== null) {
      this.seeApart(view)
      return
    }
    await this.handover.step(view)
    await this.seeShards(view)
  }

  /** Whether the slots of those that are read here are as they were, and at rest. */
  private seeApart(view: ClusterView): void {
    for (let slot = 0; slot < view.owners.length; slot++) {
      const owner = view.shards[view.owners[slot]]?.name
      const mine = this.only?.has(this.owners.of(slot) ?? '') ?? false
      const theirs = owner !== undefined && (this.only?.has(owner) ?? false)
      if (!mine && !theirs) continue
      if (mine && theirs && this.owners.of(slot) === owner && !view.moving.has(slot)) continue
      // Nobody owns it for the moment, or two say that they do: the next view tells.
      if (owner === undefined || view.disputed.has(slot)) continue
      this.handover.failure ??= shardsMoved(slot)
      return
    }
  }

  /** Shards that are new in the cluster, and those that are no more. */
  private async seeShards(view: ClusterView): Promise<void> {
    for (const { name, primary } of view.shards) {
      this.missing.delete(name)
      if (primary.slots.length === 0 || this.all.some(({ id }) => id === name)) continue
      try {
        this.tell({ kind: 'added', shard: await this.add(name) })
      } catch (error) {
        this.needs.logger.log('warn', `a new shard cannot be read yet: ${(error as Error).message}`)
      }
    }
    for (const shard of [...this.all]) {
      if (view.shards.some(({ name, primary }) => name === shard.id && primary.slots.length > 0)) continue
      const looks = (this.missing.get(shard.id) ?? 0) + 1
      this.missing.set(shard.id, looks)
      // As long as it has slots here, another is still to take them over.
      if (looks < GONE_AFTER || this.owners.slotsOf(shard.id).length > 0) continue
      shard.end()
      this.handover.leave(shard.id)
      this.all.splice(this.all.indexOf(shard), 1)
      this.tell({ kind: 'removed', shard: shard.id })
    }
  }

  /** Keys that were not where they should be: whoever has them reads them again. */
  private doubt(keys: readonly DirtyKey[]): void {
    for (const { db, key } of keys) this.doubtful.add(keySlot(key), [{ db, key: Buffer.from(key) }])
    if (this.only !== null && keys.length > 0) this.handover.failure ??= shardsMoved(keySlot(keys[0].key))
    this.owners.touched()
    this.changed(true)
  }

  private tell(change: ShardChange): void {
    this.changes.push(change)
    this.told?.()
  }

  private changed(surprise: boolean): void {
    const { topology } = this.needs
    if (this.only !== null) return
    if (surprise && this.surprise === null) {
      this.surprise = setTimeout(() => {
        this.surprise = null
        void topology.look().catch(() => undefined)
      }, SURPRISE_MS)
    } else if (this.isBegun && this.end === null && this.handover.pending > 0) void this.handover.step(topology.view)
  }

  private async standing(shard: string): Promise<number | null> {
    const { topology } = this.needs
    const found = topology.shard(shard)
    if (found === undefined || found.primary.slots.length === 0) return null
    const info = String(await topology.call(topology.addressOf(found.primary), 'INFO', 'replication'))
    return Number(/^master_repl_offset:(\d+)/m.exec(info)?.[1] ?? 0)
  }
}
