import type { SnapshotCountsJson } from './snapshot-counts.js'

/** What was counted, as plain JSON: totals since the process that counts has begun. */
export interface ProgressCounts {
  /** What each shard has read of its snapshot. */
  readonly shards: Readonly<Record<string, SnapshotCountsJson>>
  readonly passed: number
  readonly passedExamples: readonly string[]
  readonly changesApplied: number
  readonly changesFiltered: number
  readonly changesSplit: number
  readonly changeBytes: number
  readonly written: number
  readonly skipped: number
  readonly deleted: number
  readonly failed: number
  readonly sentBytes: number
  /** What the target could not hold, by kind. */
  readonly notCarried: Readonly<Record<string, { readonly count: number; readonly examples: readonly string[] }>>
  /** Keys at the target of which something was not carried, as database and base64, since the last time. */
  readonly uncarried: readonly (readonly [number, string])[]
  /** The first failures; later ones are only counted. */
  readonly failures: readonly { readonly db: number; readonly key: string; readonly reason: string }[]
}
