import type { DirtyKey, KeyReader, Lag, Position } from '@ferrite-migrate/contracts'
import type { ChangeTrack } from './changes/change-track.js'
import type { BothEnds } from './changes/stream-stop.js'
import type { ComparedPart } from './compared-part.js'

/** How far one shard is behind its source; null = unknown. */
export interface ShardLag {
  readonly shard: string
  readonly lag: Promise<Lag | null>
}

/** The shards of a run while they run, wherever that is: in this process, or in others. */
export interface RunningShards {
  /** A pause began or is over; who runs in this process sees it at the gate. */
  pausing(paused: boolean): void
  /** Runs every shard to its end. @throws what the first failed with, once no other writes any more */
  run(): Promise<void>
  /** `run` rejects by FM_LEFT, while the shards go on elsewhere; absent = they cannot. */
  leave?(): void
  /** Makes every expiry at the target what it is at the source; none is held from now on. */
  settle(): Promise<void>
  /** From now on tells the track which keys change; null = nobody wants to know. */
  track(track: ChangeTrack | null): Promise<void>
  /** How often everything of every shard was compared once more while changes were followed. */
  readonly sweeps: number
  /** Call before both ends are compared: afterwards `holds` tells of every key. */
  beforeComparison(): Promise<void>
  /** True while the end of this key, as named at the source, is held back at the target. */
  holds(db: number, key: Buffer): boolean
  /** Reads back what was written last. @throws MigrateError FM_TARGET_KEEPS_NOTHING when it is not there */
  mustKeep(): Promise<void>
  /** From now on changes are only noted in the track that it gives, not applied. */
  freeze(): Promise<ChangeTrack>
  /** Applies changes again, those first that came meanwhile. */
  thaw(): Promise<void>
  /** True once everything of the shard up to this position was read, and the track knows of it. */
  seen(shard: string, position: Position): boolean
  /** How far each shard is behind its source. */
  lags(): readonly ShardLag[]
  /** Batches that the target has not answered yet; null = nobody here knows. */
  readonly batchesUnderWay: number | null
  /**
   * What both ends hold of keys at one place of the stream of their shard; null where that cannot be had, or nobody can tell
   * which of several shards has them.
   */
  readBoth(keys: readonly DirtyKey[], target: KeyReader): Promise<BothEnds | null>
  /**
   * Compares all keys of the source once, each where its shard is run; absent = that is here, null = it cannot be done now.
   * @param done told how many were compared so far
   */
  compare?(done: (compared: number) => void, signal: AbortSignal): Promise<readonly ComparedPart[] | null>
  /** Makes keys at the target what they are at the source. @throws MigrateError FM_SHARD_UNKNOWN */
  repair(keys: readonly DirtyKey[]): Promise<void>
}
