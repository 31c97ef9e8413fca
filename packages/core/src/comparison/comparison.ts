import type { DirtyKey, KeyReader, SnapshotRecord, Target } from '@ferrite-migrate/contracts'
import { deepDifference, type ElementDifference } from '../records/deep-difference.js'
import type { Difference } from '../records/difference.js'
import { type EncodedBytes, encodeBytes } from '../records/encoded-bytes.js'
import type { RecordFilter } from '../records/key-filter.js'
import { decodedValue } from '../records/value-equality.js'
import type { RecordTransform } from '../transform/record-transform.js'
import type { CompareProgress } from '../verify/compare-progress.js'
import { Verifier } from '../verify/verifier.js'
import type { VerifyReport } from '../verify/verify-report.js'

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
  onProgress?(progress: CompareProgress): void
}

export interface ComparisonReport {
  readonly compared: number
  readonly different: number
  /** True when the source has keys and none of them was compared. */
  readonly nothing: boolean
  readonly repaired: number
  /** How many there are of each kind. */
  readonly kinds: Readonly<Partial<Record<Difference['kind'], number>>>
  /** Differences left among the repaired keys, looked at again. */
  readonly stillDifferent: number
}

/** Differences that are looked into; more end the comparison's detail, not its counts. */
const MOST = 1_000_000

/** Differences that are read and described together, and of these the keys read in one round trip. */
const AT_ONCE = 100
const READ_AT_ONCE = 20

interface Found {
  readonly difference: Difference
  readonly key: DirtyKey
}

/** A key at both ends; `name` is what it is called at the target, null = it has no place there. */
interface Both {
  name: DirtyKey | null
  source: SnapshotRecord | null
  target: SnapshotRecord | null
}

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
    const { differences } = report
    for (let from = 0; from < differences.length && !options.signal.aborted; from += AT_ONCE) {
      const page = differences.slice(from, from + AT_ONCE).map((difference) => ({
        difference,
        key: { db: difference.db, key: Buffer.from(difference.keyBase64, 'base64') },
      }))
      const read = await this.readBoth(page)
      const done = options.repair === null ? page.map(() => false) : await this.repair(page, read)
      for (const [i, { key, difference }] of page.entries()) {
        if (done[i]) mended.push(key)
        options.onDifference(describe(key, difference, read[i], done[i]))
      }
      options.onProgress?.({ stage: 'describe', done: from + page.length, total: differences.length })
    }
    const again: VerifyReport | null = mended.length === 0 ? null : await verifier.compareKeys(mended)
    return {
      compared: report.compared,
      nothing: report.nothing,
      different: report.mismatched + report.missingSource + report.missingTarget,
      repaired: mended.length,
      kinds: kindsOf(differences),
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

  /** Both ends of these keys, in two round trips for all of a database. */
  private async readBoth(page: readonly Found[]): Promise<Both[]> {
    const { source, target, transform } = this.options
    const both: Both[] = page.map(({ key }) => ({ name: key, source: null, target: null }))
    // What only the target has is known by its name there.
    const named = page.flatMap(({ difference }, i) =>
      difference.kind === 'unreadable' || (transform.renames && difference.kind === 'missing-source') ? [] : [i],
    )
    const names = await transform.names(named.map((i) => page[i].key))
    for (const [n, i] of named.entries()) both[i].name = names[n]
    const wanted = page.flatMap(({ difference }, i) => (difference.kind === 'unreadable' ? [] : [i]))
    const left = await readAll(source, named, (i) => page[i].key)
    const valued = await transform.values(named.map((i) => left.get(i) ?? null))
    for (const [n, i] of named.entries()) both[i].source = valued[n]
    const right = await readAll(target, wanted, (i) => both[i].name)
    for (const i of wanted) both[i].target = right.get(i) ?? null
    return both
  }

  /** Writes what the source has; true for each key of which the target now should have the same. */
  private async repair(page: readonly Found[], read: readonly Both[]): Promise<boolean[]> {
    const { repair, deleteExtra } = this.options
    const done = page.map(() => false)
    if (repair === null) return done
    const records: SnapshotRecord[] = []
    const deletes: DirtyKey[] = []
    const written = new Map<string, number>()
    for (const [i, { difference }] of page.entries()) {
      const { name, source } = read[i]
      if (difference.kind === 'unreadable' || name === null) continue
      if (source !== null) records.push({ ...name, value: source.value, expireAt: source.expireAt })
      else if (deleteExtra) deletes.push(name)
      else continue
      done[i] = true
      written.set(`${name.db}:${name.key.toString('latin1')}`, i)
    }
    if (written.size === 0) return done
    const result = await repair.write({ kind: 'snapshot', lane: 0, records, deletes, onConflict: 'replace' })
    for (const { db, key } of result.failed) {
      const i = key === null ? undefined : written.get(`${db}:${key.toString('latin1')}`)
      if (i !== undefined) done[i] = false
    }
    return done
  }
}

/** The records of some keys of a page, by their place in it; one read a database. */
async function readAll(
  reader: KeyReader,
  places: readonly number[],
  keyOf: (i: number) => DirtyKey | null,
): Promise<Map<number, SnapshotRecord | null>> {
  const found = new Map<number, SnapshotRecord | null>()
  const dbs = new Map<number, { i: number; key: Buffer }[]>()
  for (const i of places) {
    const key = keyOf(i)
    if (key === null) continue
    const list = dbs.get(key.db) ?? []
    list.push({ i, key: key.key })
    dbs.set(key.db, list)
  }
  for (const [db, list] of dbs) {
    // Values of hundreds of keys at once may be much: large ones are read alone.
    for (let from = 0; from < list.length; from += READ_AT_ONCE) {
      const part = list.slice(from, from + READ_AT_ONCE)
      const records = await reader.read(
        db,
        part.map(({ key }) => key),
        true,
      )
      for (const [n, { i }] of part.entries()) found.set(i, records[n] ?? null)
    }
  }
  return found
}

function kindsOf(differences: readonly Difference[]): Readonly<Partial<Record<Difference['kind'], number>>> {
  const kinds: Partial<Record<Difference['kind'], number>> = {}
  for (const { kind } of differences) kinds[kind] = (kinds[kind] ?? 0) + 1
  return kinds
}

function describe(key: DirtyKey, difference: Difference, { source, target }: Both, repaired: boolean): KeyDifference {
  const left = source && decodedValue(source.value)
  const right = target && decodedValue(target.value)
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
    expireAt: { source: expiry(source), target: expiry(target) },
    parts,
    partCount: count,
    repaired,
  }
}
