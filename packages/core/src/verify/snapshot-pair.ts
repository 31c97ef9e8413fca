import {
  type DirtyKey,
  type KeyReader,
  PackedRecord,
  type SnapshotRecord,
  type Source,
} from '@ferrite-migrate/contracts'
import { eachEvent } from '../ends/source-events.js'
import { DirtySet } from '../records/dirty-set.js'
import type { RecordFilter } from '../records/key-filter.js'
import { RangeHash } from '../records/range-hash.js'
import { BucketSums } from './bucket-sums.js'
import type { CompareProgress } from './compare-progress.js'
import type { Verifier } from './verifier.js'
import type { VerifyReport } from './verify-report.js'

/** Keys that must be looked at by value; more of them than this are better read all together. */
const MOST_SUSPECTS = 200_000
/** One key of this number and one is sampled, by the low bits of its hash. */
const SAMPLED = 255
const ENOUGH_SAMPLES = 200
/** Keys that go into the sums together. */
const AT_ONCE = 512

export interface SnapshotPairOptions {
  readonly source: Source
  readonly target: Source
  /** Names of the keys, in the order of the two. */
  readonly readers: readonly [KeyReader, KeyReader]
  readonly filter: RecordFilter
  readonly signal: AbortSignal
  onProgress?(progress: CompareProgress): void
}

/**
 * Verifies two servers by their replication snapshots: a value that both hold in the same bytes with the same expiry is equal,
 * and only the others are read and compared. Servers send a snapshot many times faster than they answer for each key.
 * Null = too much differs in its bytes (another version, other encodings): reading everything is better.
 */
export async function verifySnapshots(options: SnapshotPairOptions, verifier: Verifier): Promise<VerifyReport | null> {
  const { source, target, readers, signal } = options
  const sizes = await Promise.all(readers.map((reader) => reader.size()))
  const pair = new SnapshotPair(
    options,
    Math.max(...sizes.map((size) => [...size.values()].reduce((a, b) => a + b, 0))),
  )
  const stop = new AbortController()
  const both = AbortSignal.any([signal, stop.signal])
  try {
    await Promise.all([pair.read(source, 0, both), pair.read(target, 1, both)])
    if (signal.aborted) return verifier.report(0, [], 0)
    await pair.nameSuspects(readers)
  } catch (error) {
    stop.abort()
    if (error instanceof TooMany) return null
    throw error
  }
  const report = await verifier.compareKeys([...pair.suspects])
  const compared = pair.seen[0] + report.missingSource
  const different = report.mismatched + report.missingSource + report.missingTarget
  const nothing = compared === 0 && sizes[0].size > 0
  return { ...report, compared, matching: compared - different, nothing, equal: report.equal && !nothing }
}

class TooMany extends Error {}

class SnapshotPair {
  readonly suspects = new DirtySet()
  /** Keys of each side. */
  readonly seen: [number, number] = [0, 0]
  private readonly options: SnapshotPairOptions
  private readonly sums: BucketSums
  /** Some of the keys that one side told, with their values, to see early that too much differs. */
  private readonly sample = new Map<number, number>()
  private readonly sampled = { met: 0, different: 0 }
  /** Hashes of keys that are not in the sums yet, of each side. */
  private readonly waiting = [0, 1].map(() => ({ hashes: new Int32Array(AT_ONCE * 4), keys: 0 }))
  private readonly hash = new RangeHash()

  constructor(options: SnapshotPairOptions, keys: number) {
    this.options = options
    this.sums = new BucketSums(keys)
  }

  async read(end: Source, side: 0 | 1, signal: AbortSignal): Promise<void> {
    await eachEvent(end, signal, async (_, event) => {
      // Keys that went from shard to shard meanwhile: whether a snapshot has them is not known.
      if (event.kind === 'dirty') for (const { db, key } of event.keys) this.suspect(db, key)
      if (event.kind !== 'snapshot') return
      for (const record of event.records) {
        const draining = this.take(record, side)
        if (draining !== undefined) await draining
      }
      this.flush(side)
      event.release?.()
      if (side === 0) this.options.onProgress?.({ stage: 'compare', done: this.seen[0], total: null })
    })
  }

  private take(record: SnapshotRecord, side: 0 | 1): Promise<void> | undefined {
    if (!this.options.filter.open && !this.options.filter.takes(record)) return this.drain(record)
    this.seen[side]++
    const { hash } = this
    if (!(record instanceof PackedRecord)) {
      this.suspect(record.db, record.key)
      return this.drain(record)
    }
    const { db, expireAt, type } = record
    hash.of(record.keyData, record.keyStart, record.keyEnd, db, 0)
    const { a, b } = hash
    hash.of(record.data, record.valueStart, record.valueEnd, type ^ (expireAt | 0), Math.floor(expireAt / 2 ** 32))
    const waiting = this.waiting[side]
    const at = waiting.keys++ * 4
    waiting.hashes[at] = a
    waiting.hashes[at + 1] = b
    waiting.hashes[at + 2] = hash.a
    waiting.hashes[at + 3] = hash.b
    if (waiting.keys === AT_ONCE) this.flush(side)
    // 24 and 29 bits of the name in one exact number.
    if ((a & SAMPLED) === 0) this.meet((a >>> 8) * 2 ** 29 + (b >>> 3), hash.a)
    return undefined
  }

  private flush(side: 0 | 1): void {
    const waiting = this.waiting[side]
    this.sums.add(waiting.hashes, waiting.keys, side === 0 ? 1 : -1)
    waiting.keys = 0
  }

  /** Whoever tells a sampled key second is compared with the first. */
  private meet(name: number, value: number): void {
    const { sample, sampled } = this
    const first = sample.get(name)
    if (first === undefined) {
      sample.set(name, value)
      return
    }
    sample.delete(name)
    sampled.met++
    if (first !== value) sampled.different++
    if (sampled.met >= ENOUGH_SAMPLES && sampled.different > sampled.met / 2) throw new TooMany()
  }

  /** Slices must be read to their end. */
  private async drain({ value }: SnapshotRecord): Promise<void> {
    if (value.form === 'sliced') for await (const _ of value.slices);
  }

  private suspect(db: number, key: Buffer): void {
    this.suspects.add(db, key)
    if (this.suspects.size > MOST_SUSPECTS) throw new TooMany()
  }

  /** Sums do not tell names: the keys of both sides are listed to find those in buckets that differ. */
  async nameSuspects(readers: readonly KeyReader[]): Promise<void> {
    const different = this.sums.different()
    if (different === 0) return
    const inEach = Math.max(1, this.seen[0], this.seen[1]) / this.sums.buckets
    if (different * Math.max(1, inEach) > MOST_SUSPECTS) throw new TooMany()
    // The source's come first, so that a report is the same each time.
    for (const keys of await Promise.all(readers.map((reader) => this.inDifferent(reader))))
      for (const { db, key } of keys) this.suspect(db, key)
  }

  private async inDifferent(reader: KeyReader): Promise<DirtyKey[]> {
    const hash = new RangeHash()
    const found: DirtyKey[] = []
    for await (const page of reader.keys())
      for (const one of page) {
        hash.of(one.key, 0, one.key.length, one.db, 0)
        if (this.sums.differs(hash.a, hash.b)) found.push(one)
      }
    return found
  }
}
