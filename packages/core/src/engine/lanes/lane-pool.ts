import {
  type ChangeBatch,
  type Checkpoint,
  MigrateError,
  type SnapshotBatch,
  type Target,
  type WriteResult,
} from '@ferrite-migrate/contracts'

/** Batches under way over all lanes: enough to keep the target busy while the next are rendered. */
const UNDER_WAY = 8
/** One or two lanes need more, because all of a lane may be answered at once. */
const UNDER_WAY_OF_FEW = 16

/** The ordered connections to a target, which all shards share. `admit` is asked before each batch and throws when nothing may be written any more. */
export class LanePool {
  readonly target: Target
  readonly admit: () => void
  readonly onResult: (result: WriteResult, batch: SnapshotBatch | ChangeBatch) => void
  /** Another number each time that all lanes are left, since the target was lost or is brought back. */
  epoch = 0
  /** What is under way, by lane. */
  readonly underWay: readonly Set<Promise<void>>[]

  constructor(
    target: Target,
    lanes: number,
    onResult: (result: WriteResult, batch: SnapshotBatch | ChangeBatch) => void,
    admit: () => void = () => undefined,
  ) {
    this.target = target
    this.admit = admit
    this.onResult = onResult
    this.underWay = Array.from({ length: lanes }, () => new Set())
  }

  get mostPerLane(): number {
    return Math.max(2, Math.floor((this.lanes <= 2 ? UNDER_WAY_OF_FEW : UNDER_WAY) / this.lanes))
  }

  get lanes(): number {
    return this.underWay.length
  }

  /**
   * The connections are about to be made anew, and batches that were not answered are given up. No shard may write through the new
   * ones before it has gone on from its checkpoint: a later batch would overtake one that was given up.
   */
  leave(): void {
    this.epoch++
  }

  /** The lanes as one shard sees them: its batches, and what became of these. */
  forShard(): ShardLanes {
    return new ShardLanes(this)
  }

  /** Waits until nothing of any shard is under way, whatever comes of it. */
  async settle(): Promise<void> {
    for (const lane of this.underWay) while (lane.size > 0) await Promise.race(lane)
  }
}

/**
 * One shard's use of the lanes. A failure belongs to the shard whose batch it was: nothing of that shard may follow, and the
 * others go on. Writing waits only when a lane has enough under way.
 */
export class ShardLanes {
  private readonly pool: LanePool
  private readonly own = new Set<Promise<void>>()
  private failure: unknown
  private failing = new AbortController()
  private epoch: number

  constructor(pool: LanePool) {
    this.pool = pool
    this.epoch = pool.epoch
  }

  get lanes(): number {
    return this.pool.lanes
  }

  /**
   * Resolves as soon as the lane took the batch. `settled` is called when the target has answered for all of it.
   * @throws whatever an earlier batch of this shard failed with
   */
  async write(
    batch: SnapshotBatch | ChangeBatch,
    checkpoint?: Checkpoint,
    settled?: (result: WriteResult) => void,
  ): Promise<void> {
    await this.start(batch.lane, async () => {
      const result = await this.pool.target.write(batch, checkpoint)
      this.pool.onResult(result, batch)
      settled?.(result)
    })
  }

  /** Like `write`, for a batch that takes some time to make, as a comparison with the target does. */
  async writeMade(lane: number, make: () => Promise<SnapshotBatch>, settled: () => void): Promise<void> {
    await this.start(lane, async () => {
      const batch = await make()
      this.mustBeOfNow()
      if (batch.records.length > 0) this.pool.onResult(await this.pool.target.write(batch), batch)
      settled()
    })
  }

  private async start(number: number, task: () => Promise<void>): Promise<void> {
    const { pool, own } = this
    const lane = pool.underWay[number]
    while (lane.size >= pool.mostPerLane) await Promise.race(lane)
    this.check()
    const work = this.finish(task).then(() => {
      lane.delete(work)
      own.delete(work)
    })
    lane.add(work)
    own.add(work)
  }

  private async finish(task: () => Promise<void>): Promise<void> {
    // Nothing may follow what failed.
    if (this.failure !== undefined) return
    try {
      this.pool.admit()
      this.mustBeOfNow()
      await task()
    } catch (error) {
      this.failure ??= error
      this.failing.abort()
    }
  }

  /** Waits until everything of this shard is durable. */
  async drain(): Promise<void> {
    while (this.own.size > 0) await Promise.race(this.own)
    this.check()
  }

  /** A batch could not be written: nothing follows until `recover`. */
  get hasFailed(): boolean {
    return this.failure !== undefined
  }

  /** Aborted when a batch could not be written, so that who waits for the next one to write waits no longer. */
  get failed(): AbortSignal {
    return this.failing.signal
  }

  /** Waits for what is under way, whatever comes of it, and starts afresh after a failure. */
  async recover(): Promise<void> {
    while (this.own.size > 0) await Promise.race(this.own)
    this.failure = undefined
    this.failing = new AbortController()
    this.epoch = this.pool.epoch
  }

  private check(): void {
    if (this.failure === undefined && this.epoch !== this.pool.epoch) {
      this.failure = leftError()
      this.failing.abort()
    }
    if (this.failure !== undefined) throw this.failure
  }

  private mustBeOfNow(): void {
    if (this.epoch !== this.pool.epoch) throw leftError()
  }
}

function leftError(): MigrateError {
  return new MigrateError(
    'FM_TARGET_LOST',
    'the connections to the target were made anew for another shard',
    'Nothing is to be done: it goes on from its checkpoint.',
    { retryable: true },
  )
}
