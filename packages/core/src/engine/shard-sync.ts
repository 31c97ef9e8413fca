import type { Position, Source, SyncEvent, Target } from '@ferrite-migrate/contracts'
import type { ResolvedConfig } from '../config/config.js'
import type { KnownValues } from '../records/known-values.js'
import type { ChangeApplier } from './changes/change-applier.js'
import type { Checkpoints, Resumed } from './checkpoints.js'
import type { ShardEvent, ShardPhase } from './events/shard-event.js'
import type { HeldExpiries } from './expiry/held-expiries.js'
import type { ShardLanes } from './lanes/lane-pool.js'
import type { PendingKeys } from './lanes/pending-keys.js'
import type { Progress } from './progress/progress.js'
import type { RememberedNames } from './remembered-names.js'
import type { ShardNeighbours } from './shard-parts.js'
import type { SnapshotWriter } from './snapshot/snapshot-writer.js'
import type { TargetValues } from './snapshot/target-values.js'
import type { VanishedKeys } from './snapshot/vanished-keys.js'

/** Both ends, how the run goes on from a former one, and whom it tells. */
export interface ShardSyncNeeds {
  readonly config: Pick<ResolvedConfig, 'mode' | 'deleteExtra'>
  readonly source: Source
  readonly target: Target
  readonly targetWasEmpty: boolean
  /** Null = it began by itself. */
  readonly resumed: Resumed | null
  readonly progress: Progress
  tell(event: ShardEvent): void
  onNote(type: string, text: string): void
}

/** What of its shard has to know of a new beginning. */
export interface Synced {
  readonly lanes: ShardLanes
  readonly writer: SnapshotWriter
  readonly vanished: VanishedKeys
  readonly checkpoints: Checkpoints
  /** Keys whose commands are not replayed, or that are to be read again. */
  readonly dirty: PendingKeys
  readonly held: HeldExpiries
  readonly applier: ChangeApplier
  readonly names: RememberedNames
}

/** How the target comes to hold what a shard has: by its snapshot, by going on from a place, by comparing everything once more. */
export class ShardSync {
  /** Comparisons of everything that came to their end. */
  sweeps = 0
  private readonly id: string
  private readonly needs: ShardSyncNeeds
  private readonly parts: Synced
  private readonly others: Pick<ShardNeighbours, 'collisions' | 'sample' | 'seen'>
  /** What the target holds before the first snapshot is written; null = it has to be asked. */
  private known: Promise<KnownValues | null> | null = null
  private beginnings = 0
  private begunAt = 0
  /** Everything comes once more while changes are followed. */
  private sweeping = false

  constructor(
    id: string,
    needs: ShardSyncNeeds,
    parts: Synced,
    others: Pick<ShardNeighbours, 'collisions' | 'sample' | 'seen'>,
  ) {
    this.id = id
    this.needs = needs
    this.parts = parts
    this.others = others
  }

  /** What the target holds is of this run, so that no conflict policy applies. */
  get overwrites(): boolean {
    return this.needs.targetWasEmpty || this.beginnings > 1 || this.sweeping
  }

  /** Has the target told what it holds, while the source begins to send: that waits in its spool. */
  learn(values: TargetValues): void {
    this.known = values.take()
    // Met by who waits for it; a source that is lost meanwhile keeps that from coming.
    this.known.catch(() => undefined)
  }

  /** Waits for what is still being told. */
  async close(): Promise<void> {
    await this.known?.catch(() => undefined)
  }

  /** The records that come were counted before. */
  get isSweep(): boolean {
    return this.sweeping
  }

  /** @param from where the source was asked to go on */
  async begin(event: SyncEvent, from: Position | undefined): Promise<void> {
    if (event.mode === 'sweep') return this.beginSweep()
    this.beginnings++
    this.begunAt = Date.now()
    this.sweeping = false
    this.needs.tell({ kind: 'synced', shard: this.id, mode: event.mode })
    await (event.mode === 'partial' ? this.goOn(from) : this.beginSnapshot(event))
  }

  private async beginSweep(): Promise<void> {
    const { lanes, writer, vanished } = this.parts
    const { collisions, seen } = this.others
    await lanes.drain()
    await writer.compare()
    collisions?.restart(seen.count === 1)
    vanished.begin()
    this.sweeping = true
  }

  /** The source goes on where it was asked to. */
  private async goOn(from: Position | undefined): Promise<void> {
    const { checkpoints, names, held, applier } = this.parts
    if (from !== undefined) checkpoints.durable(from)
    if (this.beginnings > 1) return
    if (this.needs.resumed !== null) names.begin()
    if (this.needs.config.mode === 'snapshot') return this.enter('INITIAL_SYNC')
    await held.find()
    applier.late()
    this.enter('LIVE_SYNC')
  }

  private async beginSnapshot({ keys, bytes }: SyncEvent): Promise<void> {
    const { config, source, progress, resumed } = this.needs
    const { collisions, seen } = this.others
    const { checkpoints, vanished } = this.parts
    checkpoints.queue.clear()
    collisions?.restart(seen.count === 1)
    await checkpoints.forget()
    // Of several shards each has to know what was its own, for when it begins anew and the others do not.
    // Which keys of the target are of a shard is known by its keys alone, unless it says which are its own.
    const byKeys = seen.count > 1 && !vanished.knowsOwn
    // What follows tells of some keys' end by a comparison with what was there; a single copy is followed by nothing.
    const compared = source.capabilities.changes === 'lossy' && config.mode !== 'snapshot'
    if (config.deleteExtra || compared || byKeys) vanished.begin()
    if (this.beginnings > 1 || resumed !== null) await this.beginAnew()
    const counts = progress.of(this.id)
    if (keys !== undefined) collisions?.expect(keys)
    if (keys !== undefined) counts.keysTotal = keys
    if (bytes !== undefined) counts.bytesTotal = bytes
    this.enter('INITIAL_SYNC')
  }

  /** The target holds something of this shard already. */
  private async beginAnew(): Promise<void> {
    const { lanes, writer, vanished, checkpoints, dirty, held } = this.parts
    await lanes.drain()
    if (this.beginnings > 1 || checkpoints.position !== null)
      this.needs.onNote(
        'resync',
        'the source could not continue where it was: full resync, of which only what differs is written',
      )
    this.others.sample.forget()
    const known = this.beginnings === 1 ? await this.known : null
    this.known = null
    await writer.compare(known, this.overwrites)
    this.needs.progress.restartSnapshot(this.id)
    vanished.begin(known)
    dirty.clear()
    held.keys.clear()
  }

  /** The snapshot, or the sweep, is over; changes follow from a position. */
  async end(position: Position | undefined): Promise<void> {
    const { lanes, writer, vanished, checkpoints, held, applier } = this.parts
    await lanes.drain()
    await vanished.endSnapshot(this.beginnings === 1 && this.needs.resumed === null && !this.sweeping)
    await writer.report(this.sweeping)
    if (this.sweeping) {
      this.sweeping = false
      this.sweeps++
      this.needs.tell({ kind: 'swept', shard: this.id })
      return
    }
    await this.lookAtSample()
    if (position !== undefined) await checkpoints.write(position)
    applier.fresh(held.cover(Date.now() - this.begunAt))
    this.enter('LIVE_SYNC')
  }

  /** Says when keys that were written are not at the target. @throws MigrateError FM_TARGET_KEEPS_NOTHING */
  private async lookAtSample(): Promise<void> {
    const { looked, missing } = await this.others.sample.check(this.needs.target)
    if (missing > 0)
      this.needs.onNote(
        'missing',
        `${missing} of ${looked} keys that were looked for after the copy are not at the target: something removes keys there`,
      )
  }

  private enter(phase: ShardPhase): void {
    this.needs.tell({ kind: 'phase', shard: this.id, phase })
  }
}
