import {
  type ChangeBatch,
  type DirtyKey,
  type KeyReader,
  MigrateError,
  type Position,
  type Shard,
  type SnapshotBatch,
  type WriteResult,
} from '@ferrite-migrate/contracts'
import type { ResolvedConfig } from '../config/config.js'
import type { KnownValues } from '../records/known-values.js'
import { CollisionGuard } from '../transform/collision-guard.js'
import { ChangeTrack } from './changes/change-track.js'
import type { BothEnds } from './changes/stream-stop.js'
import type { ErrorRate } from './lanes/error-rate.js'
import { LanePool } from './lanes/lane-pool.js'
import { TargetRecovery } from './lanes/target-recovery.js'
import type { Route } from './route.js'
import type { RunningShards, ShardLag } from './running-shards.js'
import type { ShardNeighbours } from './shard-parts.js'
import { ShardRun } from './shard-run.js'
import { SeenKeys } from './snapshot/seen-keys.js'
import { TargetValues } from './snapshot/target-values.js'
import { WrittenSample } from './target-content/written-sample.js'

/** A route, and how its batches are written. */
export interface EngineNeeds extends Omit<Route, 'config'> {
  readonly config: ResolvedConfig
  readonly lanes: number
  /** Asked before each batch. @throws when another process writes for this migration now */
  admit(): void
  /** Reads at once what the target holds; absent = it cannot be had. */
  readonly targetValues?: () => Promise<KnownValues | null>
  /** Ends the run when too many writes fail. */
  readonly errorRate: ErrorRate | null
}

/** Moves the records and changes of one source to one target until the source ends, the signal aborts or it fails. */
export class Engine implements RunningShards {
  private readonly options: EngineNeeds
  private readonly lanes: LanePool
  private readonly sample = new WrittenSample()
  private readonly runs = new Map<string, ShardRun>()
  private readonly others: ShardNeighbours
  private readonly route: Route
  /** Ends all shards when one has failed: nothing is written for a run that is lost. */
  private readonly failed = new AbortController()
  private readonly underWay = new Set<Promise<void>>()
  private failure: unknown

  constructor(options: EngineNeeds) {
    this.options = options
    const { shards } = options.source
    this.lanes = new LanePool(
      options.target,
      Math.max(options.lanes, shards.length),
      (result, batch) => this.account(result, batch),
      () => options.admit(),
    )
    this.route = { ...options, signal: AbortSignal.any([options.signal, this.failed.signal]) }
    this.others = {
      collisions: options.transform.injective ? null : collisionGuard(options),
      sample: this.sample,
      seen: new SeenKeys(shards.map(({ id }) => id)),
      targetValues: new TargetValues(knowsAtOnce(options) ? (options.targetValues ?? null) : null),
      recovery: new TargetRecovery(options.target, options.id, () => this.lanes.leave()),
    }
    for (const shard of shards) this.add(shard)
  }

  /** Nothing to do: the gate is this process's own. */
  pausing(): void {}

  async run(): Promise<void> {
    for (const run of this.runs.values()) this.start(run)
    const watching = new AbortController()
    const watched = this.watch(AbortSignal.any([this.route.signal, watching.signal]))
    for (;;) {
      while (this.underWay.size > 0) await Promise.race(this.underWay)
      watching.abort()
      await watched
      if (this.underWay.size === 0) break
    }
    if (this.failure !== undefined) throw this.failure
    await this.lanes.settle()
  }

  private add(shard: Shard): ShardRun {
    const lane = this.runs.size % this.lanes.lanes
    const run = new ShardRun(this.route, this.lanes.forShard(), shard, lane, this.others)
    this.runs.set(shard.id, run)
    return run
  }

  private start(run: ShardRun): void {
    const work = run
      .run()
      .catch((error: unknown) => {
        this.failure ??= error
        this.failed.abort()
      })
      .finally(() => this.underWay.delete(work))
    this.underWay.add(work)
  }

  /** Shards that come are read as well; of one that went nothing is waited for. */
  private async watch(signal: AbortSignal): Promise<void> {
    try {
      for await (const change of this.options.source.watch?.(signal) ?? []) {
        if (change.kind === 'added') {
          const { id } = change.shard
          if (this.runs.has(id)) continue
          this.others.seen.join(id)
          this.options.tell({ kind: 'joined', shard: id })
          this.start(this.add(change.shard))
        } else {
          this.runs.delete(change.shard)
          this.others.seen.leave(change.shard)
          this.options.tell({ kind: 'left', shard: change.shard })
        }
      }
    } catch (error) {
      // Without knowing the shards nobody knows what is missing.
      this.failure ??= error
      this.failed.abort()
    }
  }

  /** Makes every expiry at the target what it is at the source; none is held from now on. */
  async settle(): Promise<void> {
    await Promise.all([...this.runs.values()].map((run) => run.settle()))
  }

  /** From now on tells the track which keys change. */
  async track(track: ChangeTrack | null): Promise<void> {
    for (const run of this.runs.values()) run.track = track
  }

  /** How often everything of every shard was compared once more while changes were followed. */
  get sweeps(): number {
    return Math.min(...[...this.runs.values()].map(({ sweeps }) => sweeps))
  }

  /** Nothing to do: what is held is known here at every moment. */
  async beforeComparison(): Promise<void> {}

  /** True while the end of this key, as named at the source, is held back at the target. */
  holds(db: number, key: Buffer): boolean {
    for (const run of this.runs.values()) if (run.holds(db, key)) return true
    return false
  }

  /** Reads back what was written last. @throws MigrateError FM_TARGET_KEEPS_NOTHING when it is not there */
  async mustKeep(): Promise<void> {
    await Promise.all([...this.runs.values()].map((run) => run.mustKeep()))
  }

  /** From now on changes are only noted, not applied. */
  async freeze(track = new ChangeTrack()): Promise<ChangeTrack> {
    for (const run of this.runs.values()) run.freeze(track)
    return track
  }

  /** Applies changes again, those first that came meanwhile. */
  async thaw(): Promise<void> {
    for (const run of this.runs.values()) run.freeze(null)
  }

  /** True once everything of the shard up to this position was read. */
  seen(shard: string, position: Position): boolean {
    return this.runs.get(shard)?.hasSeen(position) ?? true
  }

  /** How far each shard was read, applied or not. */
  *read(): Iterable<readonly [string, Position]> {
    for (const [shard, { lastSeen }] of this.runs) if (lastSeen !== null) yield [shard, lastSeen]
  }

  lags(): readonly ShardLag[] {
    return [...this.runs].map(([shard, run]) => ({ shard, lag: run.lag() }))
  }

  get batchesUnderWay(): number {
    return this.lanes.underWay.reduce((sum, lane) => sum + lane.size, 0)
  }

  /**
   * What both ends hold of keys at one place of the stream of their shard; null where that cannot be had, or nobody can tell
   * which of several shards has them.
   */
  async readBoth(keys: readonly DirtyKey[], target: KeyReader): Promise<BothEnds | null> {
    const groups = this.byOwner(keys)
    if (groups === null) return null
    const source: BothEnds['source'][number][] = []
    const there: BothEnds['target'][number][] = []
    for (const [run, indexes] of groups) {
      const own = indexes.map((i) => keys[i])
      const both = await run.readBoth(own, target)
      if (both === null) return null
      for (const [j, i] of indexes.entries()) {
        source[i] = both.source[j]
        there[i] = both.target[j]
      }
    }
    return { source, target: there }
  }

  /** False for a key of a shard that is run elsewhere. */
  owns(db: number, key: Buffer): boolean {
    for (const run of this.runs.values()) if (run.owns(db, key) ?? true) return true
    return false
  }

  /** Makes keys at the target what they are at the source. @throws MigrateError FM_SHARD_UNKNOWN */
  async repair(keys: readonly DirtyKey[]): Promise<void> {
    const groups = this.byOwner(keys)
    if (groups !== null) {
      for (const [run, indexes] of groups) await run.repair(indexes.map((i) => keys[i]))
      return
    }
    // A reader of the source reads the keys of all shards; a place of the stream is that of one.
    const [any] = this.runs.values()
    if (this.options.apply === 'state') return any.repair(keys)
    throw new MigrateError(
      'FM_SHARD_UNKNOWN',
      'keys are to be read again, and the source does not say which of its shards has them',
      'Leave the run as it is and compare afterwards (compare --fix), or start it anew.',
    )
  }

  /** The places of keys by the shard that owns them; null = of several shards nobody can tell. */
  private byOwner(keys: readonly DirtyKey[]): Map<ShardRun, number[]> | null {
    const runs = [...this.runs.values()]
    if (runs.length === 1) return new Map([[runs[0], keys.map((_, i) => i)]])
    const groups = new Map<ShardRun, number[]>()
    for (const [i, { db, key }] of keys.entries()) {
      const owner = runs.find((run) => run.owns(db, key))
      if (owner === undefined) return null
      const group = groups.get(owner)
      if (group === undefined) groups.set(owner, [i])
      else group.push(i)
    }
    return groups
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

/** Whether what the target held in the beginning may stand for what it holds when a key comes. */
function knowsAtOnce({ source, config, targetWasEmpty, foreign }: EngineNeeds): boolean {
  // A key that comes twice, or from one shard and then from another, may be another one by then.
  const once = source.shards.length === 1 && source.capabilities.uniqueKeys === true
  // What a later snapshot finds gone may be deleted if it was seen in this one, unless that is known otherwise.
  return once && (config.mode === 'snapshot' || targetWasEmpty || foreign !== null)
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
