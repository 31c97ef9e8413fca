import type { Source, Target } from '@ferrite-migrate/contracts'
import { counted, PackedRecord, type SnapshotEvent, type SnapshotRecord } from '@ferrite-migrate/contracts'
import { hashTag, keySlot } from '@ferrite-migrate/protocol'
import type { ResolvedConfig } from '../../config/config.js'
import type { RecordFilter } from '../../records/key-filter.js'
import type { KnownValues } from '../../records/known-values.js'
import { printableKey } from '../../records/printable-key.js'
import type { CollisionGuard } from '../../transform/collision-guard.js'
import type { RecordTransform } from '../../transform/record-transform.js'
import type { HeldExpiries } from '../expiry/held-expiries.js'
import type { LaterEnds } from '../expiry/later-end.js'
import type { PostponedEnds } from '../expiry/postponed-ends.js'
import type { ShardLanes } from '../lanes/lane-pool.js'
import type { PositionQueue } from '../lanes/position-queue.js'
import type { Progress } from '../progress/progress.js'
import type { SnapshotCounts } from '../progress/snapshot-counts.js'
import type { ForeignKeys } from '../target-content/foreign-keys.js'
import { SnapshotDifference } from './snapshot-difference.js'
import type { VanishedKeys } from './vanished-keys.js'

/** Both ends, and what becomes of a record between them. */
export interface SnapshotWriterNeeds {
  readonly config: Pick<ResolvedConfig, 'onConflict'>
  readonly source: Source
  readonly target: Target
  readonly filter: RecordFilter
  readonly transform: RecordTransform
  readonly foreign: ForeignKeys | null
  readonly progress: Progress
  onNote(type: string, text: string): void
}

const TAGS_SEEN = 10_000

/** What the snapshot shares with the changes that follow it. */
export interface SnapshotSurroundings {
  readonly ends: LaterEnds
  readonly held: HeldExpiries
  readonly postponed: PostponedEnds
  readonly vanished: VanishedKeys
  readonly positions: PositionQueue
  /** What its shard has read. */
  readonly counts: SnapshotCounts
  /** Null = the rules keep names apart. */
  readonly collisions: CollisionGuard | null
}

/** Brings the records of a snapshot to the lanes: filtered, transformed, and only what differs where that is asked for. */
export class SnapshotWriter {
  private readonly options: SnapshotWriterNeeds
  private readonly lanes: ShardLanes
  private readonly run: SnapshotSurroundings
  private difference: SnapshotDifference | null = null
  private nextLane = 0
  /** Keys whose hash tags are still looked at. */
  private tagsToSee = TAGS_SEEN

  constructor(options: SnapshotWriterNeeds, lanes: ShardLanes, run: SnapshotSurroundings) {
    this.options = options
    this.lanes = lanes
    this.run = run
  }

  /**
   * From now on only what the target does not hold already is written.
   * @param known what it holds, where that is known; it must not be used where a key may come twice
   * @param overwrite what the target holds is of this run
   */
  async compare(known: KnownValues | null = null, overwrite = false): Promise<void> {
    await this.difference?.close()
    const { target, foreign, config } = this.options
    // Where a policy decides about what is there, it has to be looked at.
    const replaces = overwrite || foreign !== null || config.onConflict === 'replace'
    this.difference = new SnapshotDifference(target, replaces ? known : null)
  }

  /**
   * Resolves when the records are handed over; their position counts when the target has them.
   * @param overwrite what the target holds is of this run, so that no conflict policy applies
   * @param counted true = these records were counted before
   */
  async write(event: SnapshotEvent, overwrite: boolean, counted: boolean): Promise<void> {
    const { counts } = this.run
    const { filter, config, transform, foreign } = this.options
    const passed = filter.open ? event.records : event.records.filter((record) => filter.takes(record))
    const taken = this.withLaterEnds(passed)
    // Where what is not ours is known, it is left out before, and the rest is of this run.
    const spares = this.difference !== null && foreign !== null
    const onConflict = this.difference !== null && (overwrite || spares) ? 'replace' : config.onConflict
    const reached = this.run.positions.enter(event.position)
    const done = (): void => {
      reached()
      if (!counted) {
        counts.keysDone += event.records.length
        counts.filtered += event.records.length - passed.length
        counts.bytesDone += event.byteLength
      }
      event.release?.()
    }
    const sliced = event.records.find((record) => !(record instanceof PackedRecord) && record.value.form === 'sliced')
    if (sliced !== undefined) {
      // The slices come out of the stream itself: nothing else can be read before they are.
      const records = await this.toTarget(taken)
      if (records.length === 0 && sliced.value.form === 'sliced') for await (const _ of sliced.value.slices);
      for (const record of records)
        await this.lanes.write({ kind: 'snapshot', lane: this.laneOf(record), records: [record], onConflict })
      await this.lanes.drain()
      done()
      return
    }
    if (taken.length === 0) return done()
    const { difference } = this
    if (this.dealsOut && (difference !== null || transform.changesValues)) {
      this.nextLane = (this.nextLane + 1) % this.lanes.lanes
      const lane = this.nextLane
      return this.lanes.writeMade(
        lane,
        async () => {
          const made = await this.toTarget(taken)
          const records = difference === null ? made : await difference.of(made)
          return { kind: 'snapshot', lane, records, onConflict }
        },
        done,
      )
    }
    let records: readonly SnapshotRecord[] = transform.open ? taken : await this.toTarget(taken)
    if (transform.open) records = this.noted(records)
    // A key that comes twice must be compared and written in order.
    if (difference !== null) {
      await this.lanes.drain()
      records = await difference.of(records)
    }
    if (records.length === 0) return done()
    if (this.dealsOut || this.lanes.lanes === 1) {
      // A key that comes once is in one lane however the batches are dealt out.
      this.nextLane = (this.nextLane + 1) % this.lanes.lanes
      return this.lanes.write({ kind: 'snapshot', lane: this.nextLane, records, onConflict }, undefined, done)
    }
    const parts: SnapshotRecord[][] = []
    for (const record of records) {
      const part = (parts[this.laneOf(record)] ??= [])
      part.push(record)
    }
    let open = 0
    for (const part of parts) if (part !== undefined) open++
    for (const [lane, part] of parts.entries())
      if (part !== undefined)
        await this.lanes.write({ kind: 'snapshot', lane, records: part, onConflict }, undefined, () => {
          if (--open === 0) done()
        })
  }

  /** A key that comes once may go through any lane, where the target does not say which. */
  private get dealsOut(): boolean {
    const { source, target } = this.options
    return source.capabilities.uniqueKeys === true && target.laneOf === undefined
  }

  /** A target must not end keys that commands still to come will renew. */
  private withLaterEnds(records: readonly SnapshotRecord[]): readonly SnapshotRecord[] {
    switch (this.run.ends.how) {
      case 'hold':
        return this.run.held.hold(records)
      case 'postpone':
        return this.run.postponed.postpone(records)
      default:
        return records
    }
  }

  /** Records of the snapshot as the target gets them. */
  private async toTarget(records: readonly SnapshotRecord[]): Promise<readonly SnapshotRecord[]> {
    const { transform } = this.options
    let made: readonly SnapshotRecord[] = records
    if (!transform.open) {
      const before = records.length
      const valued = transform.changesValues
        ? (await transform.values(records)).filter((record) => record !== null)
        : records
      this.run.counts.leftOut += before - valued.length
      const pairs = await transform.renamedPairs(valued)
      made = pairs.renamed
      await this.run.collisions?.add(pairs.originals, made)
      this.lookAtTags(pairs.originals, made)
    }
    return this.noted(made)
  }

  /** Tells who wants to know which names are written, and leaves out those that are to stay as they are. */
  private noted(records: readonly SnapshotRecord[]): readonly SnapshotRecord[] {
    const { foreign, progress } = this.options
    this.run.vanished.see(records)
    if (foreign === null) return records
    foreign.claim(records)
    if (this.difference === null) return records
    const spared = foreign.spare(records)
    progress.skipped += records.length - spared.length
    return spared
  }

  /** Rules may take keys of one hash tag apart, which a cluster would not forgive: said once, if the first keys show it. */
  private lookAtTags(keys: readonly SnapshotRecord[], names: readonly SnapshotRecord[]): void {
    if (this.tagsToSee <= 0) return
    this.tagsToSee -= keys.length
    for (let i = 0; i < keys.length; i++) {
      const { key } = keys[i]
      if (key.indexOf(123) < 0 || hashTag(key).start === 0) continue
      const name = names[i]
      if (keySlot(key) === keySlot(name.key)) continue
      this.tagsToSee = 0
      this.options.onNote(
        'hash-tags',
        `${printableKey(key)} becomes ${printableKey(name.key)}, in another slot: keys of one hash tag may part`,
      )
      return
    }
  }

  /** One key always goes through one lane. */
  private laneOf(record: SnapshotRecord): number {
    const { lanes } = this.lanes
    if (lanes === 1) return 0
    const chosen = this.options.target.laneOf?.(record.db, record.key, lanes)
    if (chosen !== undefined) return chosen
    let hash = 0
    if (record instanceof PackedRecord) {
      const { keyData, keyStart, keyEnd } = record
      for (let at = Math.max(keyStart, keyEnd - 8); at < keyEnd; at++) hash = (Math.imul(hash, 31) + keyData[at]) | 0
    } else for (const byte of record.key.subarray(-8)) hash = (Math.imul(hash, 31) + byte) | 0
    return ((hash ^ (hash >>> 15)) >>> 0) % lanes
  }

  /**
   * The snapshot is over: says what the comparison found.
   * @param sweeping everything came once more: that nothing differs is no news
   */
  async report(sweeping: boolean): Promise<void> {
    const { difference } = this
    this.difference = null
    if (difference === null) return
    await difference.close()
    if (!sweeping) this.run.counts.kept += difference.equal
    if (sweeping && difference.different === 0) return
    this.options.onNote(
      'compared',
      `${counted(difference.equal, 'key')} ${difference.equal === 1 ? 'was' : 'were'} right at the target already, ${difference.different.toLocaleString('en-US')} written`,
    )
  }
  async close(): Promise<void> {
    await this.difference?.close()
  }
}
