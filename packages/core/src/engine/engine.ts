import {
  type ChangeBatch,
  type DirtyKey,
  type KeyReader,
  MigrateError,
  type Position,
  type SnapshotBatch,
  type WriteResult,
} from '@ferrite-migrate/contracts'
import type { ResolvedConfig } from '../config/config.js'
import { CollisionGuard } from '../transform/collision-guard.js'
import { ChangeTrack } from './changes/change-track.js'
import type { BothEnds } from './changes/stream-stop.js'
import type { ErrorRate } from './lanes/error-rate.js'
import { LanePool } from './lanes/lane-pool.js'
import { TargetRecovery } from './lanes/target-recovery.js'
import type { Route } from './route.js'
import { ShardRun } from './shard-run.js'
import { SeenKeys } from './snapshot/seen-keys.js'
import { WrittenSample } from './target-content/written-sample.js'

/** A route, and how its batches are written. */
export interface EngineNeeds extends Omit<Route, 'config'> {
  readonly config: ResolvedConfig
  readonly lanes: number
  /** Asked before each batch. @throws when another process writes for this migration now */
  admit(): void
  /** Ends the run when too many writes fail. */
  readonly errorRate: ErrorRate | null
}

/** Moves the records and changes of one source to one target until the source ends, the signal aborts or it fails. */
export class Engine {
  private readonly options: EngineNeeds
  private readonly lanes: LanePool
  private readonly sample = new WrittenSample()
  private readonly runs: readonly ShardRun[]

  constructor(options: EngineNeeds) {
    this.options = options
    this.lanes = new LanePool(
      options.target,
      Math.max(options.lanes, options.source.shards.length),
      (result, batch) => this.account(result, batch),
      () => options.admit(),
    )
    const { shards } = options.source
    const others = {
      shards: shards.length,
      collisions: options.transform.injective ? null : collisionGuard(options),
      sample: this.sample,
      seen: new SeenKeys(shards.length),
      recovery: new TargetRecovery(options.target, options.id),
    }
    this.runs = shards.map((shard, lane) => new ShardRun(options, this.lanes.forShard(), shard, lane, others))
  }

  async run(): Promise<void> {
    await Promise.all(this.runs.map((run) => run.run()))
    await this.lanes.settle()
  }

  /** Makes every expiry at the target what it is at the source; none is held from now on. */
  async settle(): Promise<void> {
    await Promise.all(this.runs.map((run) => run.settle()))
  }

  /** From now on tells the track which keys change. */
  track(track: ChangeTrack | null): void {
    for (const run of this.runs) run.track = track
  }

  /** How often everything was compared once more while changes were followed. */
  get sweeps(): number {
    return this.runs.reduce((sum, run) => sum + run.sweeps, 0)
  }

  /** True while the end of this key, as named at the source, is held back at the target. */
  holds(db: number, key: Buffer): boolean {
    return this.runs.some((run) => run.holds(db, key))
  }

  /** Reads back what was written last. @throws MigrateError FM_TARGET_KEEPS_NOTHING when it is not there */
  async mustKeep(): Promise<void> {
    for (const run of this.runs) await run.mustKeep()
  }

  /** From now on changes are only noted, not applied. */
  freeze(): ChangeTrack {
    const track = new ChangeTrack()
    for (const run of this.runs) run.freeze(track)
    return track
  }

  /** Applies changes again, those first that came meanwhile. */
  thaw(): void {
    for (const run of this.runs) run.freeze(null)
  }

  /** True once everything of the shard up to this position was read. */
  seen(shard: string, position: Position): boolean {
    return this.runs.every((run) => run.id !== shard || run.hasSeen(position))
  }

  /** What both ends hold at one place of the stream; null where that cannot be had. Only for sources of one shard. */
  async readBoth(keys: readonly DirtyKey[], target: KeyReader): Promise<BothEnds | null> {
    return (await this.runs[0]?.readBoth(keys, target)) ?? null
  }

  /** Reads keys again and writes what they are; only for sources of one shard, under state. */
  async repair(keys: readonly DirtyKey[]): Promise<void> {
    await this.runs[0]?.repair(keys)
  }

  private account(result: WriteResult, batch: SnapshotBatch | ChangeBatch): void {
    const { progress, config, errorRate } = this.options
    if (errorRate?.add(result.written + result.failed.length, result.failed.length))
      throw new MigrateError(
        'FM_ERROR_RATE',
        'more writes fail than --rollback-on-error-rate allows',
        'The report names some of them; the target is put back as it was.',
      )
    if (batch.kind === 'snapshot' && batch.records.length > 0 && result.written === batch.records.length)
      this.sample.note(batch.records)
    // A failed change is not lost: its key is read again.
    progress.add(
      batch.kind === 'changes' && result.failed.length > 0
        ? { ...result, failed: result.failed.filter(({ key }) => key === null) }
        : result,
    )
    if (batch.kind === 'changes') progress.changesApplied += batch.records.length
    const conflict = result.failed.find((failure) => failure.code === 'conflict')
    if (conflict !== undefined && config.onConflict === 'fail')
      throw new MigrateError(
        'FM_TARGET_CONFLICT',
        `the target already has the key ${conflict.key?.toString('latin1').slice(0, 100)}`,
        'Empty the target, or choose --on-conflict replace or skip.',
      )
  }
}

/** One for all shards: keys of two shards may get one name as well. */
function collisionGuard({ transform, filter, config, source, progress, logger }: EngineNeeds): CollisionGuard {
  return new CollisionGuard({
    transform,
    filter,
    policy: config.onCollision,
    source: () => source.reader?.() ?? null,
    onCollision: (text, name) => {
      progress.leaveOut('key whose name at the target is taken', name)
      if (config.onCollision === 'last') logger.log('warn', text)
    },
  })
}
