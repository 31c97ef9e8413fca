import {
  type Checkpoint,
  MigrateError,
  type Position,
  type Shard,
  type Source,
  type Target,
} from '@ferrite-migrate/contracts'
import type { ResolvedConfig } from '../config/config.js'
import type { ShardLanes } from './lanes/lane-pool.js'
import type { PendingKeys } from './lanes/pending-keys.js'
import { covers, PositionQueue } from './lanes/position-queue.js'

/** Where a migration goes on. */
export interface Resumed {
  /** Saved positions by shard, where the target keeps no checkpoint. */
  readonly positions: ReadonlyMap<string, Position>
  /** Expiries may be later at the target than at the source; these were held between the two times. */
  readonly held: { readonly from: number; readonly to: number } | null
  /** A file or scan goes on in the middle of its snapshot. */
  readonly inSnapshot: boolean
}

/** The migration, and where its checkpoints are. */
export interface CheckpointsNeeds {
  readonly id: string
  readonly config: Pick<ResolvedConfig, 'mode'>
  readonly source: Pick<Source, 'capabilities'>
  readonly target: Pick<Target, 'checkpoint' | 'forget'>
  readonly resumed: Resumed | null
}

/** The stream that positions belong to. */
export type PositionedShard = Pick<Shard, 'id' | 'covers' | 'acknowledge'>

/** What of one shard is durable: positions that only advance, and the checkpoints of a target that keeps them with its data. */
export class Checkpoints {
  /** Batches of a snapshot become durable in any order. */
  readonly queue = new PositionQueue((position) => this.durable(position))
  private readonly needs: CheckpointsNeeds
  private readonly shard: PositionedShard
  private readonly lanes: ShardLanes
  private readonly lane: number
  private readonly dirty: PendingKeys
  private readonly atTarget: boolean
  private readonly tell: (position: Position) => void
  private last: Position | null = null

  /**
   * @param atTarget the target keeps each position together with the changes before it
   * @param tell is told what has become durable
   */
  constructor(
    needs: CheckpointsNeeds,
    shard: PositionedShard,
    lanes: ShardLanes,
    lane: number,
    dirty: PendingKeys,
    atTarget: boolean,
    tell: (position: Position) => void,
  ) {
    this.needs = needs
    this.shard = shard
    this.lanes = lanes
    this.lane = lane
    this.dirty = dirty
    this.atTarget = atTarget
    this.tell = tell
  }

  /** The last position that is durable. */
  get position(): Position | null {
    return this.last
  }

  durable(position: Position): void {
    this.last = position
    this.shard.acknowledge?.(position)
    this.tell(position)
  }

  /** What goes with the batch that ends at a position; undefined where the target keeps no positions. */
  of(position: Position): Checkpoint | undefined {
    if (!this.atTarget) return undefined
    return { migration: this.needs.id, shard: this.shard.id, position, dirty: this.dirty.list() }
  }

  /** Makes a position durable that no batch brings. */
  async write(position: Position): Promise<void> {
    await this.lanes.write({ kind: 'changes', lane: this.lane, records: [] }, this.of(position), () =>
      this.durable(position),
    )
  }

  /** Nobody may go on from an older checkpoint once newer values are written. */
  async forget(): Promise<void> {
    if (this.atTarget) await this.needs.target.forget(this.needs.id, this.shard.id)
  }

  /**
   * Where a former process left off: the checkpoint at the target, or the saved position; undefined = everything is read.
   * @param unknowable only reading everything once more tells what has to be known
   */
  async resumeFrom(unknowable: boolean): Promise<Position | undefined> {
    const { resumed, target, id, config, source } = this.needs
    if (resumed === null) return undefined
    // Where the target has one it is the truth, also for a run that from now on applies changes otherwise.
    const checkpoint = config.mode === 'snapshot' ? undefined : await target.checkpoint(id, this.shard.id)
    this.takeDirty(checkpoint)
    const saved = this.atTarget && config.mode !== 'snapshot' ? undefined : resumed.positions.get(this.shard.id)
    if (unknowable) return undefined
    const { resume } = source.capabilities
    const usable = resume === 'both' || resume === (resumed.inSnapshot ? 'snapshot' : 'changes')
    return checkpoint?.position ?? (usable ? saved : undefined)
  }

  /** Where to go on after the target was lost; undefined = it has no checkpoint any more. */
  async afterLoss(): Promise<Position | undefined> {
    if (!this.atTarget) return undefined
    const checkpoint = await this.needs.target.checkpoint(this.needs.id, this.shard.id)
    if (checkpoint === undefined) return undefined
    // What was dirty here and not yet there is read again as well: that is never wrong.
    this.dirty.allAgain()
    this.takeDirty(checkpoint)
    return checkpoint.position
  }

  /**
   * The checkpoint comes with the last change in one step: a target that has not got it has not got the change either.
   * @throws MigrateError FM_TARGET_KEEPS_NOTHING
   */
  async mustBeThere(): Promise<void> {
    const { last, shard } = this
    if (!this.atTarget || last === null) return
    const there = await this.needs.target.checkpoint(this.needs.id, shard.id)
    if (there !== undefined && covers(shard, there.position, last)) return
    throw new MigrateError(
      'FM_TARGET_KEEPS_NOTHING',
      'the last change was answered with OK, and the target has not got it: it does not keep what it is told',
      'Look what stands between here and the target, or what removes keys there; then go on with --resume.',
    )
  }

  private takeDirty(checkpoint: Checkpoint | undefined): void {
    for (const { db, key } of checkpoint?.dirty ?? []) this.dirty.add(db, key)
  }
}
