import {
  type ChangeBatch,
  type Logger,
  MigrateError,
  type Position,
  type Shard,
  type SnapshotBatch,
  type Source,
  type Target,
  type WriteResult,
} from '@ferrite-migrate/contracts'
import type { ResolvedConfig } from './config.js'
import type { RecordFilter } from './key-filter.js'
import { LanePool } from './lane-pool.js'
import type { Progress } from './progress.js'
import { ShardRun } from './shard-run.js'

export interface EngineOptions {
  readonly id: string
  readonly config: ResolvedConfig
  readonly apply: 'replay' | 'state'
  readonly lanes: number
  readonly source: Source
  readonly target: Target
  readonly filter: RecordFilter
  readonly progress: Progress
  readonly logger: Logger
  /** Aborted = stop reading, write what was read, return. */
  readonly signal: AbortSignal
  /** The target held no key of this migration's when it started, so whatever vanishes at the source may be deleted. */
  readonly targetWasEmpty: boolean
  onPhase(phase: 'INITIAL_SYNC' | 'LIVE_SYNC'): void
  onPosition(shard: string, position: Position): void
  onNote(type: string, text: string): void
}

/** Moves the records and changes of one source to one target until the source ends, the signal aborts or it fails. */
export class Engine {
  private readonly options: EngineOptions
  private readonly lanes: LanePool
  private readonly live = new Set<string>()
  private readonly runs: readonly ShardRun[]

  constructor(options: EngineOptions) {
    this.options = options
    this.lanes = new LanePool(options.target, Math.max(options.lanes, options.source.shards.length), (result, batch) =>
      this.account(result, batch),
    )
    this.runs = options.source.shards.map(
      (shard, lane) => new ShardRun(options, this.lanes, shard, lane, () => this.wentLive(shard)),
    )
  }

  async run(): Promise<void> {
    await Promise.all(this.runs.map((run) => run.run()))
    await this.lanes.drain()
  }

  /** Makes every expiry at the target what it is at the source; none is held from now on. */
  async settle(): Promise<void> {
    await Promise.all(this.runs.map((run) => run.settle()))
  }

  private wentLive(shard: Shard): void {
    this.live.add(shard.id)
    if (this.live.size === this.options.source.shards.length) this.options.onPhase('LIVE_SYNC')
  }

  private account(result: WriteResult, batch: SnapshotBatch | ChangeBatch): void {
    const { progress, config } = this.options
    // A failed change is not lost: its key is read again.
    progress.add(
      batch.kind === 'changes' ? { ...result, failed: result.failed.filter(({ key }) => key === null) } : result,
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
