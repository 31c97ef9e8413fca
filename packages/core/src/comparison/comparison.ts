import type { DecodedValue, DirtyKey, KeyReader, SnapshotRecord, Target } from '@ferrite-migrate/contracts'
import { decodeValue, isOpaque } from '@ferrite-migrate/protocol'
import type { RecordFilter } from '../key-filter.js'
import type { RecordTransform } from '../transform/record-transform.js'
import { type Difference, Verifier, type VerifyReport } from '../verifier.js'
import { deepDifference, type ElementDifference } from './deep-difference.js'
import { type EncodedBytes, encodeBytes } from './encoded-bytes.js'

/** One key that differs, with the parts of its value in which it does. */
export interface KeyDifference {
  readonly db: number
  readonly key: EncodedBytes
  readonly kind: Difference['kind']
  readonly detail: string
  readonly type: { readonly source: string | null; readonly target: string | null }
  readonly expireAt: { readonly source: string | null; readonly target: string | null }
  /** At most a hundred; `partCount` counts all. */
  readonly parts: readonly ElementDifference[]
  readonly partCount: number
  readonly repaired: boolean
}

export interface ComparisonOptions {
  readonly source: KeyReader
  readonly target: KeyReader
  readonly filter: RecordFilter
  readonly transform: RecordTransform
  readonly ttlToleranceMs: number
  readonly rounds: number
  readonly signal: AbortSignal
  /** Writes the source's values there; null = only look. */
  readonly repair: Target | null
  /** With `repair`: delete what only the target has. */
  readonly deleteExtra: boolean
  onDifference(difference: KeyDifference): void
  onProgress?(compared: number): void
}

export interface ComparisonReport {
  readonly compared: number
  readonly different: number
  readonly repaired: number
  /** Differences left among the repaired keys, looked at again. */
  readonly stillDifferent: number
}

/** Differences that are looked into; more end the comparison's detail, not its counts. */
const MOST = 1_000_000

/** Compares two ends deeply: which parts of which values differ; mends them where asked. */
export class Comparison {
  private readonly options: ComparisonOptions

  constructor(options: ComparisonOptions) {
    this.options = options
  }

  async run(): Promise<ComparisonReport> {
    const { options } = this
    const verifier = this.verifier()
    const report = await verifier.run()
    const mended: DirtyKey[] = []
    let repaired = 0
    for (const difference of report.differences) {
      if (options.signal.aborted) break
      const key = { db: difference.db, key: Buffer.from(difference.keyBase64, 'base64') }
      const done = options.repair === null ? false : await this.repair(key, difference)
      if (done) {
        repaired++
        mended.push(key)
      }
      options.onDifference(await this.describe(key, difference, done))
    }
    const again: VerifyReport | null = mended.length === 0 ? null : await verifier.compareKeys(mended)
    return {
      compared: report.compared,
      different: report.mismatched + report.missingSource + report.missingTarget,
      repaired,
      stillDifferent: again === null ? 0 : again.mismatched + again.missingSource + again.missingTarget,
    }
  }

  private verifier(): Verifier {
    const { source, target, filter, transform, ttlToleranceMs, rounds, signal, onProgress } = this.options
    return new Verifier(source, target, {
      filter,
      transform,
      digest: { fieldExpiry: true },
      ttlToleranceMs,
      rounds,
      pauseMs: 250,
      signal,
      reported: MOST,
      ...(onProgress === undefined ? {} : { onProgress }),
    })
  }

  private async readBoth(
    key: DirtyKey,
    kind: Difference['kind'],
  ): Promise<[SnapshotRecord | null, SnapshotRecord | null]> {
    const { source, target, transform } = this.options
    const read = async (reader: KeyReader, at: DirtyKey | null): Promise<SnapshotRecord | null> =>
      at === null ? null : ((await reader.read(at.db, [at.key], true))[0] ?? null)
    // What only the target has is known by its name there.
    if (transform.renames && kind === 'missing-source') return [null, await read(target, key)]
    const [there] = await transform.names([key])
    const [record] = await transform.values([await read(source, key)])
    return [record, await read(target, there)]
  }

  private async describe(key: DirtyKey, difference: Difference, repaired: boolean): Promise<KeyDifference> {
    const [a, b] = difference.kind === 'unreadable' ? [null, null] : await this.readBoth(key, difference.kind)
    const left = a === null ? null : decoded(a)
    const right = b === null ? null : decoded(b)
    const { parts, count } =
      difference.kind === 'value' && left !== null && right !== null && !repaired
        ? deepDifference(left, right)
        : { parts: [], count: 0 }
    const expiry = (record: SnapshotRecord | null): string | null =>
      record === null || record.expireAt === 0 ? null : new Date(record.expireAt).toISOString()
    return {
      db: key.db,
      key: encodeBytes(key.key),
      kind: difference.kind,
      detail: difference.detail,
      type: { source: left?.type ?? null, target: right?.type ?? null },
      expireAt: { source: expiry(a), target: expiry(b) },
      parts,
      partCount: count,
      repaired,
    }
  }

  /** Writes what the source has; true when the target now should have the same. */
  private async repair(key: DirtyKey, difference: Difference): Promise<boolean> {
    const { repair, source, transform, deleteExtra } = this.options
    if (repair === null || difference.kind === 'unreadable') return false
    const extra = transform.renames && difference.kind === 'missing-source'
    const [name] = extra ? [key] : await transform.names([key])
    if (name === null) return false
    const [record] = extra ? [null] : await transform.values([(await source.read(key.db, [key.key], true))[0]])
    if (record === null) {
      if (!deleteExtra) return false
      await repair.write({ kind: 'snapshot', lane: 0, records: [], deletes: [name], onConflict: 'replace' })
      return true
    }
    const records = [{ ...name, value: record.value, expireAt: record.expireAt }]
    const result = await repair.write({ kind: 'snapshot', lane: 0, records, onConflict: 'replace' })
    return result.failed.length === 0
  }
}

function decoded({ value }: SnapshotRecord): DecodedValue | null {
  if (value.form === 'sliced' || (value.form === 'rdb' && isOpaque(value.type, value.rdbVersion))) return null
  return value.form === 'rdb' ? decodeValue(value.type, value.body, value.rdbVersion) : value
}
