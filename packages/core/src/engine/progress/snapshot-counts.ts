/** What one shard has read of its snapshot. */
export class SnapshotCounts {
  keysDone = 0
  /** Null = it does not tell. */
  keysTotal: number | null = null
  bytesDone = 0
  bytesTotal: number | null = null
  /** Read, and not taken by the filter. */
  filtered = 0
  /** Read, and kept out by a rule, a script or what a value is. */
  leftOut = 0
  /** Read, and right at the target already. */
  kept = 0

  /** Everything is read once more: what was counted of the first reading counts no more. */
  restart(): void {
    this.keysDone = 0
    this.keysTotal = null
    this.bytesDone = 0
    this.bytesTotal = null
    this.filtered = 0
    this.leftOut = 0
    this.kept = 0
  }

  asJson(): SnapshotCountsJson {
    const { keysDone, keysTotal, bytesDone, bytesTotal, filtered, leftOut, kept } = this
    return { keysDone, keysTotal, bytesDone, bytesTotal, filtered, leftOut, kept }
  }

  /** What another process has counted of the same shard. */
  take(counts: SnapshotCountsJson): void {
    Object.assign(this, counts)
  }
}

/** The same as plain JSON. */
export interface SnapshotCountsJson {
  readonly keysDone: number
  readonly keysTotal: number | null
  readonly bytesDone: number
  readonly bytesTotal: number | null
  readonly filtered: number
  readonly leftOut: number
  readonly kept: number
}

const FIELDS = ['keysDone', 'keysTotal', 'bytesDone', 'bytesTotal', 'filtered', 'leftOut', 'kept'] as const
export type SnapshotCount = (typeof FIELDS)[number]

/** The sum over shards; null where none tells. */
export function sumOf(shards: Iterable<SnapshotCounts>, field: SnapshotCount): number | null {
  let sum: number | null = null
  for (const counts of shards) {
    const value = counts[field]
    if (value !== null) sum = (sum ?? 0) + value
  }
  return sum
}
