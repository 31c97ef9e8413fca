import type { DirtyKey, KeyReader, Position, Shard, SnapshotRecord } from '@ferrite-migrate/contracts'
import type { RecordTransform } from '../../transform/record-transform.js'
import type { ShardLanes } from '../lanes/lane-pool.js'
import { covers } from '../lanes/position-queue.js'

/** Under which names. */
export interface StreamStopNeeds {
  readonly transform: Pick<RecordTransform, 'names'>
}

/** A stream that may know what the source holds at one place of it. */
export type StoppableShard = Pick<Shard, 'readAt' | 'covers'>

/** The same keys at both ends, at one place of the stream. */
export interface BothEnds {
  readonly source: readonly (SnapshotRecord | null)[]
  readonly target: readonly (SnapshotRecord | null)[]
}

interface Stop {
  /** The stream waits; false = it is over. */
  readonly standing: PromiseWithResolvers<boolean>
  /** Where to stop; null = not known yet. */
  position: Position | null
  readonly known: PromiseWithResolvers<void>
  readonly reached: PromiseWithResolvers<boolean>
  readonly go: PromiseWithResolvers<void>
}

/** Stops a stream under replay at one place, so that both ends can be looked at there. */
export class StreamStop {
  private readonly options: StreamStopNeeds
  private readonly lanes: Pick<ShardLanes, 'drain'>
  private readonly shard: StoppableShard
  private stop: Stop | null = null
  private over = false

  constructor(options: StreamStopNeeds, lanes: Pick<ShardLanes, 'drain'>, shard: StoppableShard) {
    this.options = options
    this.lanes = lanes
    this.shard = shard
  }

  /**
   * What the source and the target hold at one and the same place of the stream. The stream stands while the source is
   * read, so that the place lies ahead of it, and stops there at the target for as long as it takes to read that. Null
   * when the stream ended or began anew before.
   */
  async readBoth(keys: readonly DirtyKey[], target: KeyReader): Promise<BothEnds | null> {
    if (this.over || this.shard.readAt === undefined) return null
    const stop: Stop = {
      standing: Promise.withResolvers<boolean>(),
      position: null,
      known: Promise.withResolvers<void>(),
      reached: Promise.withResolvers<boolean>(),
      go: Promise.withResolvers<void>(),
    }
    this.stop = stop
    try {
      if (!(await stop.standing.promise)) return null
      const { records, position, elsewhere } = await this.shard.readAt(keys)
      // Nothing was learnt of these.
      if (elsewhere !== undefined) return null
      stop.position = position
      stop.known.resolve()
      if (!(await stop.reached.promise)) return null
      const held: (SnapshotRecord | null)[] = []
      for (const name of await this.options.transform.names(keys))
        held.push(...(name === null ? [null] : await target.read(name.db, [name.key], true)))
      return { source: records, target: held }
    } finally {
      this.stop = null
      stop.known.resolve()
      stop.go.resolve()
    }
  }

  /** The stream is over: no place of it is reached any more. */
  end(): void {
    this.over = true
    this.stop?.standing.resolve(false)
    this.stop?.reached.resolve(false)
  }

  /** Stands still where somebody wants to look; called after each batch, with its end. */
  async pass(position: Position): Promise<void> {
    const { stop } = this
    if (stop === null) return
    stop.standing.resolve(true)
    await stop.known.promise
    if (stop.position === null || !covers(this.shard, position, stop.position)) return
    await this.lanes.drain()
    stop.reached.resolve(covers(this.shard, stop.position, position))
    await stop.go.promise
  }
}
