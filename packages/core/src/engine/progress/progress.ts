import type { DirtyKey, Lag, WriteResult } from '@ferrite-migrate/contracts'
import { FingerprintSet } from '@ferrite-migrate/protocol'
import { printableKey } from '../../records/printable-key.js'
import type { ProgressCounts } from './progress-counts.js'
import { type SnapshotCount, SnapshotCounts, sumOf } from './snapshot-counts.js'

const WINDOW_MS = 5000
const NOT_CARRIED_EXAMPLES = 5
/** Failures that are kept; all are counted. */
const FAILURES = 1000
/** What is only ever added to. */
const SUMS = [
  'passed',
  'changesApplied',
  'changesFiltered',
  'changesSplit',
  'changeBytes',
  'written',
  'skipped',
  'deleted',
  'failed',
  'sentBytes',
] as const

const NOTHING: FormerCounts = {
  keysDone: 0,
  keysTotal: null,
  bytesDone: 0,
  bytesTotal: null,
  changesApplied: 0,
  keysWritten: 0,
  keysSkipped: 0,
  keysDeleted: 0,
  keysFailed: 0,
}

/** What a former process had counted; states of older versions lack some. */
export interface FormerCounts {
  readonly keysDone: number
  readonly keysTotal: number | null
  readonly keysFiltered?: number
  readonly keysLeftOut?: number
  readonly keysKept?: number
  readonly valuesPassed?: number
  readonly bytesDone: number
  readonly bytesTotal: number | null
  readonly changesApplied: number
  readonly changesFiltered?: number
  readonly changesSplit?: number
  readonly changeBytes?: number
  readonly keysWritten: number
  readonly keysSkipped: number
  readonly keysDeleted: number
  readonly keysFailed: number
}

/** Counts what a run does, and derives rates and times from it. */
export class Progress {
  /** Written as they were, because a rule could not change them. */
  passed = 0
  readonly passedExamples: string[] = []
  changesApplied = 0
  changesFiltered = 0
  /** Commands and transactions over several parts of the target. */
  changesSplit = 0
  changeBytes = 0
  written = 0
  skipped = 0
  deleted = 0
  failed = 0
  sentBytes = 0
  lag: Lag = {}
  /** What the target could not hold, by kind: how many keys, and some of them. */
  readonly notCarried = new Map<string, { count: number; examples: string[] }>()
  readonly failures: { db: number; key: string; reason: string }[] = []
  /** What each shard has read, by its name; what a former process had counted stands for itself until one begins anew. */
  private readonly shards = new Map<string, SnapshotCounts>()
  private former: SnapshotCounts | null = null
  private uncarried: FingerprintSet | null = null
  private tells = false
  private readonly untold: DirtyKey[] = []
  private samples: { at: number; done: number; lagBytes: number }[] = []

  /** The counts of a shard. */
  of(shard: string): SnapshotCounts {
    let counts = this.shards.get(shard)
    if (counts === undefined) {
      counts = new SnapshotCounts()
      this.shards.set(shard, counts)
    }
    return counts
  }

  /** What each shard has read of its snapshot. */
  shardCounts(): Iterable<readonly [string, SnapshotCounts]> {
    return this.shards
  }

  /** A shard begins its snapshot once more. */
  restartSnapshot(shard: string): void {
    this.of(shard).restart()
    this.former = null
    // What was done before is done once more, and is no step back.
    this.samples = []
  }

  private sum(field: SnapshotCount): number | null {
    return sumOf(this.former === null ? this.shards.values() : [this.former, ...this.shards.values()], field)
  }

  get keysDone(): number {
    return this.sum('keysDone') ?? 0
  }

  get keysTotal(): number | null {
    return this.sum('keysTotal')
  }

  get bytesDone(): number {
    return this.sum('bytesDone') ?? 0
  }

  get bytesTotal(): number | null {
    return this.sum('bytesTotal')
  }

  /** Read, and not taken by the filter. */
  get filtered(): number {
    return this.sum('filtered') ?? 0
  }

  /** Read, and kept out by a rule, a script or what a value is. */
  get leftOut(): number {
    return this.sum('leftOut') ?? 0
  }

  /** Read, and right at the target already. */
  get kept(): number {
    return this.sum('kept') ?? 0
  }

  /** True for a key, as named at the target, of which something was not carried. */
  isLeftOut(db: number, key: Buffer): boolean {
    return this.uncarried?.has(db, key) ?? false
  }

  /** Goes on counting where a former process was. */
  restore(former: FormerCounts): void {
    const counts = new SnapshotCounts()
    counts.keysDone = former.keysDone
    counts.keysTotal = former.keysTotal
    counts.bytesDone = former.bytesDone
    counts.bytesTotal = former.bytesTotal
    counts.filtered = former.keysFiltered ?? 0
    counts.leftOut = former.keysLeftOut ?? 0
    counts.kept = former.keysKept ?? 0
    this.former = counts
    this.changesApplied = former.changesApplied
    this.passed = former.valuesPassed ?? 0
    this.changesFiltered = former.changesFiltered ?? 0
    this.changesSplit = former.changesSplit ?? 0
    this.changeBytes = former.changeBytes ?? 0
    this.written = former.keysWritten
    this.skipped = former.keysSkipped
    this.deleted = former.keysDeleted
    this.failed = former.keysFailed
  }

  /** What workers have counted, oldest first, is all that counts. */
  recount(counts: readonly ProgressCounts[]): void {
    this.restore(NOTHING)
    for (const one of counts) this.absorb(one, null)
  }

  /** What was counted, as a status tells it. */
  totals() {
    return {
      keysDone: this.keysDone,
      keysTotal: this.keysTotal,
      keysFiltered: this.filtered,
      keysLeftOut: this.leftOut,
      keysKept: this.kept,
      valuesPassed: this.passed,
      bytesDone: this.bytesDone,
      bytesTotal: this.bytesTotal,
      changesApplied: this.changesApplied,
      changesFiltered: this.changesFiltered,
      changesSplit: this.changesSplit,
      changeBytes: this.changeBytes,
      keysWritten: this.written,
      keysSkipped: this.skipped,
      keysDeleted: this.deleted,
      keysFailed: this.failed,
    } satisfies FormerCounts
  }

  add(result: WriteResult): void {
    this.written += result.written
    this.skipped += result.skipped
    this.deleted += result.deleted
    this.sentBytes += result.byteLength
    this.failed += result.failed.length
    for (const failure of result.failed)
      if (this.failures.length < FAILURES)
        this.failures.push({ db: failure.db, key: printableKey(failure.key), reason: failure.reason })
    for (const { what, db, key } of result.notCarried) {
      this.leaveOut(what, key)
      if (key === null) continue
      this.uncarried ??= new FingerprintSet()
      this.uncarried.add(db, key)
      if (this.tells) this.untold.push({ db, key: Buffer.from(key) })
    }
  }

  /** A value that goes on as it is, because a rule could not change it. */
  passOver(key: Buffer): void {
    this.passed++
    if (this.passedExamples.length < NOT_CARRIED_EXAMPLES) this.passedExamples.push(printableKey(key))
  }

  leaveOut(what: string, key: Buffer | null): void {
    this.leaveOutMany(what, 1, key === null ? [] : [key])
  }

  leaveOutMany(what: string, count: number, examples: readonly Buffer[]): void {
    const entry = this.notCarried.get(what) ?? { count: 0, examples: [] }
    entry.count += count
    for (const key of examples) if (entry.examples.length < NOT_CARRIED_EXAMPLES) entry.examples.push(printableKey(key))
    this.notCarried.set(what, entry)
  }

  /** Everything that was counted, for another process. Keys that were not carried are told once. */
  counts(): ProgressCounts {
    const { passed, passedExamples, changesApplied, changesFiltered, changeBytes, written, skipped, deleted } = this
    return {
      shards: Object.fromEntries([...this.shards].map(([shard, counts]) => [shard, counts.asJson()])),
      ...{ passed, passedExamples, changesApplied, changesFiltered, changeBytes, written, skipped, deleted },
      changesSplit: this.changesSplit,
      failed: this.failed,
      sentBytes: this.sentBytes,
      notCarried: Object.fromEntries(this.notCarried),
      uncarried: this.untold.splice(0).map(({ db, key }) => [db, key.toString('base64')]),
      failures: this.failures,
    }
  }

  /**
   * Adds what another process has counted since it was last asked.
   * @param former what it had counted then; null = it has just begun
   */
  absorb(counts: ProgressCounts, former: ProgressCounts | null): void {
    // One that goes on from a place in the stream reads no snapshot: what the one before it has read is still so.
    for (const [shard, of] of Object.entries(counts.shards))
      if (of.keysDone > 0 || of.keysTotal !== null || of.bytesDone > 0) this.of(shard).take(of)
    for (const field of SUMS) this[field] += counts[field] - (former?.[field] ?? 0)
    for (const example of counts.passedExamples.slice(former?.passedExamples.length ?? 0))
      if (this.passedExamples.length < NOT_CARRIED_EXAMPLES) this.passedExamples.push(example)
    for (const failure of counts.failures.slice(former?.failures.length ?? 0))
      if (this.failures.length < FAILURES) this.failures.push(failure)
    for (const [what, { count, examples }] of Object.entries(counts.notCarried)) {
      const entry = this.notCarried.get(what) ?? { count: 0, examples: [] }
      const before = former?.notCarried[what]
      entry.count += count - (before?.count ?? 0)
      for (const example of examples.slice(before?.examples.length ?? 0))
        if (entry.examples.length < NOT_CARRIED_EXAMPLES) entry.examples.push(example)
      this.notCarried.set(what, entry)
    }
    for (const [db, key] of counts.uncarried) {
      this.uncarried ??= new FingerprintSet()
      this.uncarried.add(db, Buffer.from(key, 'base64'))
    }
  }

  /** Somebody else wants to know which keys were not carried. */
  tellUncarried(): void {
    this.tells = true
  }

  /** Takes a sample; call about once a second. */
  sample(now: number): void {
    this.samples.push({ at: now, done: this.keysDone + this.changesApplied, lagBytes: this.lag.bytes ?? 0 })
    while (this.samples.length > 2 && this.samples[0].at < now - WINDOW_MS) this.samples.shift()
  }

  get rate(): number {
    const first = this.samples[0]
    const last = this.samples.at(-1)
    return first && last && last.at > first.at ? ((last.done - first.done) * 1000) / (last.at - first.at) : 0
  }

  /** How fast the lag shrinks, bytes per ms; negative = it grows. */
  private get gain(): number {
    const first = this.samples[0]
    const last = this.samples.at(-1)
    return first && last && last.at > first.at ? (first.lagBytes - last.lagBytes) / (last.at - first.at) : 0
  }

  get diverging(): boolean {
    return this.samples.length > 3 && (this.lag.bytes ?? 0) > 1 << 20 && this.gain < 0
  }

  etaMs(live: boolean): number | null {
    if (live) {
      if (!this.lag.bytes) return 0
      return this.gain > 0 ? this.lag.bytes / this.gain : null
    }
    if (this.keysTotal === null || this.rate === 0) return null
    return (Math.max(0, this.keysTotal - this.keysDone) / this.rate) * 1000
  }
}
