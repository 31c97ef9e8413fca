import type { DigestOptions } from '@ferrite-migrate/protocol'
import type { ComparedPart } from '../engine/compared-part.js'
import type { Difference } from '../records/difference.js'
import type { RecordFilter } from '../records/key-filter.js'
import type { RecordTransform } from '../transform/record-transform.js'
import type { CompareProgress } from './compare-progress.js'

export interface VerifyReport {
  readonly compared: number
  readonly matching: number
  readonly mismatched: number
  readonly missingSource: number
  readonly missingTarget: number
  /** At most a thousand. */
  readonly differences: readonly Difference[]
  /** Everything that was asked for was compared, and is the same. Never true of what was not looked at. */
  readonly equal: boolean
  /** False when it was ended before everything was looked at. */
  readonly complete: boolean
  /** Keys that a rule or script leaves out: neither compared nor equal. */
  readonly leftOut: number
  /** Keys that only the target has and that are not of this migration: counted apart, unless they are to count. */
  readonly foreign: number
  /** True when the source has keys and none of them was compared: a filter or database that is not meant. */
  readonly nothing: boolean
  /** When it was over, ms. */
  readonly at: number
}

export interface VerifyOptions {
  readonly filter: RecordFilter
  /** Names, databases and values at the target. */
  readonly transform: RecordTransform
  readonly digest: DigestOptions
  readonly ttlToleranceMs: number
  /** How often a difference is looked at again before it counts. */
  readonly rounds: number
  /** Pause before the first of these, ms; each is twice the former. */
  readonly pauseMs: number
  readonly signal: AbortSignal
  /** True for keys of the target that are nobody's business here, though the source has none of that name. */
  foreign?(db: number, key: Buffer): boolean
  /** True for keys (as named at the source) whose end the migration holds back at the target for now. */
  held?(db: number, key: Buffer): boolean
  /** Ends that are nearer than this are not compared, ms: the migration holds such keys a moment longer. Default 0. */
  readonly endsSoonMs?: number
  /** True for keys, as named at the target, that the migration left out and told so. */
  leftOut?(db: number, key: Buffer): boolean
  /** False where ends are not carried as they are. Default true. */
  readonly comparesEnds?: boolean
  /** Differences named in the report at most; all are counted. Default 1000. */
  readonly reported?: number
  /**
   * Has all keys of the source compared once where its shards are run; null = that cannot be done now. Not asked where keys have
   * other names at the target.
   * @param done told how many were compared so far
   */
  elsewhere?(done: (compared: number) => void): Promise<readonly ComparedPart[] | null>
  onProgress?(progress: CompareProgress): void
}
