import {
  type DirtyKey,
  type KeyReader,
  PackedRecord,
  type SnapshotRecord,
  type Source,
} from '@ferrite-migrate/contracts'
import { DirtySet } from './dirty-set.js'
import type { RecordFilter } from './key-filter.js'
import { PairTable } from './pair-table.js'
import { RangeHash } from './range-hash.js'
import type { Verifier, VerifyReport } from './verifier.js'

/** Keys that must be looked at by value; more of them than this are better read all together. */
const MOST_SUSPECTS = 200_000

export interface SnapshotPairOptions {
  readonly source: Source
  readonly target: Source
  /** Names of the keys, in the order of the two. */
  readonly readers: readonly [KeyReader, KeyReader]
  readonly filter: RecordFilter
  readonly signal: AbortSignal
  onProgress?(keys: number): void
}

/**
 * Verifies two servers by their replication snapshots: a value that both hold in the same bytes with the same expiry is equal,
 * and only the others are read and compared. Servers send a snapshot many times faster than they answer for each key.
 * Null = too much differs in its bytes (another version, other encodings): reading everything is better.
 */
export async function verifySnapshots(options: SnapshotPairOptions, verifier: Verifier): Promise<VerifyReport | null> {
  const { source, target, readers, signal } = options
  const pair = new SnapshotPair(options)
  const stop = new AbortController()
  const both = AbortSignal.any([signal, stop.signal])
  try {
    await Promise.all([pair.read(source, 0, both), pair.read(target, 1, both)])
  } catch (error) {
    stop.abort()
    if (error instanceof TooMany) return null
    throw error
  }
  if (signal.aborted) return verifier.report(0, [], 0)
  for (const side of [0, 1] as const) {
    const { alone } = pair.table
    if (alone[side] > MOST_SUSPECTS) return null
    if (alone[side] > 0) await pair.nameAlone(readers[side], side)
  }
  const report = await verifier.compareKeys([...pair.suspects])
  const compared = pair.table.met + pair.table.alone[0] + pair.table.alone[1] + pair.outside
  const different = report.mismatched + report.missingSource + report.missingTarget
  return { ...report, compared, matching: compared - different }
}

class TooMany extends Error {}

class SnapshotPair {
  readonly table = new PairTable()
  readonly suspects = new DirtySet()
  /** Keys that are not in the table, but among the suspects. */
  outside = 0
  private readonly options: SnapshotPairOptions
  private readonly hash = new RangeHash()
  private seen = 0

  constructor(options: SnapshotPairOptions) {
    this.options = options
  }

  async read(end: Source, side: 0 | 1, signal: AbortSignal): Promise<void> {
    for (const shard of end.shards)
      for await (const event of shard.read({ signal, changes: false })) {
        if (event.kind !== 'snapshot') continue
        for (const record of event.records) {
          const draining = this.take(record, side)
          if (draining !== undefined) await draining
        }
        event.release?.()
        if (side === 0) {
          this.seen += event.records.length
          this.options.onProgress?.(this.seen)
        }
      }
  }

  private take(record: SnapshotRecord, side: 0 | 1): Promise<void> | undefined {
    if (!this.options.filter.takes(record)) return this.drain(record)
    const { hash } = this
    if (!(record instanceof PackedRecord)) {
      this.suspect(record.db, record.key, true)
      return this.drain(record)
    }
    const { db, expireAt, type } = record
    hash.of(record.keyData, record.keyStart, record.keyEnd, db, 0)
    const { a, b } = hash
    hash.of(record.data, record.valueStart, record.valueEnd, type ^ (expireAt | 0), Math.floor(expireAt / 2 ** 32))
    if (this.table.meet(a, b, hash.a, hash.b, side) === 'different') this.suspect(db, record.key, false)
    return undefined
  }

  /** Slices must be read to their end. */
  private async drain({ value }: SnapshotRecord): Promise<void> {
    if (value.form === 'sliced') for await (const _ of value.slices);
  }

  private suspect(db: number, key: Buffer, outside: boolean): void {
    if (outside && !this.suspects.has(db, key)) this.outside++
    this.suspects.add(db, key)
    if (this.suspects.size > MOST_SUSPECTS) throw new TooMany()
  }

  /** Fingerprints do not tell names: the side's keys are listed to find those that only it has. */
  async nameAlone(reader: KeyReader, side: 0 | 1): Promise<void> {
    for await (const page of reader.keys())
      for (const { db, key } of page as readonly DirtyKey[]) {
        this.hash.of(key, 0, key.length, db, 0)
        if (this.table.isAlone(this.hash.a, this.hash.b, side)) this.suspects.add(db, key)
      }
  }
}
