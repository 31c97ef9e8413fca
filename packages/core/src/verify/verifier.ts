import { setTimeout as sleep } from 'node:timers/promises'
import {
  type DirtyKey,
  type KeyReader,
  SLICED_SHAPE,
  type SnapshotRecord,
  type Value,
} from '@ferrite-migrate/contracts'
import { FingerprintSet, keyTypeOf } from '@ferrite-migrate/protocol'
import { deepDifference } from '../records/deep-difference.js'
import { printableKey } from '../records/printable-key.js'
import { decodedValue, sameSliced, sameValue } from '../records/value-equality.js'
import type { RecordTransform } from '../transform/record-transform.js'
import { TargetKeys } from '../transform/target-keys.js'
import type { Difference, DifferenceKind, VerifyOptions, VerifyReport } from './verify-report.js'

const PAGE = 500
/** Pages under way at once: enough to keep both servers busy while one is compared. */
const UNDER_WAY = 4
const REPORTED = 1000
/** Differences of which the parts are told, and how many of these. */
const DETAILED = 100
const PARTS = 3
/** Differences kept to look at again; more than that are counted at once, since no pause will mend them. */
const SUSPECTS = 200_000
/** Values that take more memory than this are read in slices. */
const LARGE_BYTES = 4 << 20
/** Values that take more than this are compared a few at a time. */
const BIG_BYTES = 128 << 10
const BIG_AT_ONCE = 8

function typeOf(value: Value): string {
  return value.form === 'rdb' ? (keyTypeOf(value.type, value.rdbVersion) ?? `type ${value.type}`) : value.type
}

type Read = SnapshotRecord | null | Error

/** Compares two stores both ways by value. While data changes, only differences that stay count. */
export class Verifier {
  private readonly source: KeyReader
  private readonly target: KeyReader
  private readonly options: VerifyOptions
  private readonly transform: RecordTransform
  private readonly targetKeys: TargetKeys
  private leftOut = 0
  private foreign = 0
  /** Keys of the source, where it was asked; whatever the filter. */
  private sourceKeys = 0
  /** Keys are looked at for the first time. */
  private counting = true
  /** Differences whose parts were looked for, in this round. */
  private detailed = 0

  /** Keys are named as at the source; what only the target has under other names, as there. */
  constructor(source: KeyReader, target: KeyReader, options: VerifyOptions) {
    this.source = source
    this.target = target
    this.options = options
    this.transform = options.transform
    this.targetKeys = new TargetKeys(options.filter, options.transform)
  }

  async run(): Promise<VerifyReport> {
    let compared = 0
    const total = await this.expected()
    const tell = (): void => this.options.onProgress?.({ stage: 'compare', done: compared, total })
    const suspects: DirtyKey[] = []
    let surplus = 0
    const found: Difference[] = []
    const seen = new FingerprintSet()
    const suspect = (key: DirtyKey, difference: Difference): void => {
      if (suspects.length < SUSPECTS) suspects.push({ db: key.db, key: Buffer.from(key.key) })
      else {
        surplus++
        found.push(difference)
      }
    }
    await this.inParallel(this.pages(this.source), async (page) => {
      for (const [i, difference] of (await this.compare(page, seen)).entries())
        if (difference) suspect(page[i], difference)
      compared += page.length
      tell()
    })
    if (this.transform.renames) {
      const extras: DirtyKey[] = []
      for await (const page of this.targetPages(seen))
        for (const { db, key } of page) if (extras.length < SUSPECTS) extras.push({ db, key: Buffer.from(key) })
      const settled = await this.settleExtras(extras)
      compared += settled.length
      for (const difference of settled) found.push(difference)
    } else if (!(await this.noSurplus(compared, suspects.length)))
      await this.inParallel(this.targetPages(seen), async (page) => {
        const there = await this.source.exist(
          page[0].db,
          page.map(({ key }) => key),
        )
        page.forEach((key, i) => {
          if (there[i]) return
          compared++
          suspect(key, this.difference('missing-source', key, 'only at the target'))
        })
        tell()
      })
    for (const difference of await this.settle(suspects)) found.push(difference)
    if (compared === 0) for (const size of (await this.source.size()).values()) this.sourceKeys += size
    return this.report(compared, found, surplus)
  }

  /** How many keys of the source will be looked at; null where a filter decides. */
  private async expected(): Promise<number | null> {
    if (!this.options.filter.open || this.options.onProgress === undefined) return null
    let keys = 0
    for (const size of (await this.source.size()).values()) keys += size
    return keys
  }

  /** When every key of the source is equal at the target, and the target has no more keys, it has none of its own. */
  private async noSurplus(compared: number, suspects: number): Promise<boolean> {
    if (suspects > 0 || !this.options.filter.open || !this.transform.open) return false
    let keys = 0
    for (const size of (await this.target.size()).values()) keys += size
    return keys === compared
  }

  /** Compares these keys only, both ways. */
  async compareKeys(keys: readonly DirtyKey[]): Promise<VerifyReport> {
    const taken = keys.filter(({ db, key }) => this.options.filter.takesKey(db, key))
    const suspects: DirtyKey[] = []
    for (const page of byDb(taken))
      for (const [i, difference] of (await this.compare(page)).entries()) if (difference) suspects.push(page[i])
    return this.report(taken.length, await this.settle(suspects), 0)
  }

  /** Compares records that come from elsewhere (a file) with the target; they are valid only during the call. */
  async compareRecords(records: readonly SnapshotRecord[], seen: FingerprintSet): Promise<Difference[]> {
    const differences: Difference[] = []
    for (const page of byDb(records)) {
      const { keys, names } = await this.named(page, seen)
      const valued = await this.transform.values(keys)
      const read = await this.readAll(this.target, names)
      for (const [i, record] of keys.entries()) {
        if (this.isLeftOut(record, valued[i])) continue
        const difference = await this.judge(record, valued[i], read[i])
        if (difference !== null) differences.push(difference)
      }
    }
    return differences
  }

  /** Keys that have a name at the target, with that name. */
  private async named<T extends DirtyKey>(
    page: readonly T[],
    seen: FingerprintSet | null,
  ): Promise<{ keys: readonly T[]; names: readonly DirtyKey[] }> {
    if (!this.transform.renames) {
      if (seen !== null) for (const { db, key } of page) seen.add(db, key)
      return { keys: page, names: page }
    }
    const all = await this.transform.names(page)
    const names = all.filter((name) => name !== null)
    if (seen !== null) for (const { db, key } of names) seen.add(db, key)
    return { keys: page.filter((_, i) => all[i] !== null), names }
  }

  /** Judges records that were read elsewhere, at one moment of both ends. */
  async judgeAll(
    keys: readonly DirtyKey[],
    source: readonly (SnapshotRecord | null)[],
    target: readonly (SnapshotRecord | null)[],
  ): Promise<Difference[]> {
    const names = await this.transform.names(keys)
    const wanted = keys.map((_, i) => names[i] !== null && (source[i] === null || this.options.filter.takes(source[i])))
    const valued = await this.transform.values(source.map((record, i) => (wanted[i] ? record : null)))
    const found = await Promise.all(keys.map((key, i) => (wanted[i] ? this.judge(key, valued[i], target[i]) : null)))
    return found.filter((one) => one !== null)
  }

  /** Target keys to which no key of the source comes; `seen` holds the names that there are. */
  async surplus(seen: FingerprintSet): Promise<Difference[]> {
    const found: Difference[] = []
    for await (const page of this.targetPages(seen))
      for (const key of page) found.push(this.difference('missing-source', key, 'only at the target'))
    return found
  }

  /** Target keys that no name of the source explains, looked at again until one does, they are gone, or the rounds are over. */
  private async settleExtras(all: readonly DirtyKey[]): Promise<Difference[]> {
    let extras = all
    let pause = this.options.pauseMs
    for (let round = 1; round <= this.options.rounds && extras.length > 0 && !this.options.signal.aborted; round++) {
      await sleep(pause, undefined, { signal: this.options.signal }).catch(() => undefined)
      pause *= 2
      const there = new FingerprintSet()
      for (const page of byDb(extras)) {
        const exist = await this.target.exist(
          page[0].db,
          page.map(({ key }) => key),
        )
        for (const [i, { db, key }] of page.entries()) if (exist[i]) there.add(db, key)
      }
      const names = new FingerprintSet()
      for await (const page of this.pages(this.source)) await this.named(page, names)
      extras = extras.filter(({ db, key }) => there.has(db, key) && !names.has(db, key))
    }
    return extras.map((key) => this.difference('missing-source', key, 'only at the target'))
  }

  report(compared: number, found: readonly Difference[], surplus: number): VerifyReport {
    const count = (kind: DifferenceKind): number => found.filter((one) => one.kind === kind).length
    const missingSource = count('missing-source')
    const missingTarget = count('missing-target')
    const complete = !this.options.signal.aborted
    const looked = compared - this.leftOut
    const nothing = looked === 0 && this.leftOut === 0 && this.sourceKeys > 0
    return {
      compared: looked,
      matching: looked - found.length,
      mismatched: found.length - missingSource - missingTarget,
      missingSource,
      missingTarget,
      differences: found.slice(0, this.options.reported ?? REPORTED),
      equal: complete && !nothing && found.length === 0 && surplus === 0,
      complete,
      leftOut: this.leftOut,
      foreign: this.foreign,
      nothing,
      at: Date.now(),
    }
  }

  /** Looks at suspects again until they are equal or the rounds are over; gives what stays different. */
  private async settle(all: readonly DirtyKey[]): Promise<Difference[]> {
    this.counting = false
    let suspects = all
    let pause = this.options.pauseMs
    for (let round = 1; round <= this.options.rounds && suspects.length > 0 && !this.options.signal.aborted; round++) {
      await sleep(pause, undefined, { signal: this.options.signal }).catch(() => undefined)
      pause *= 2
      const still: DirtyKey[] = []
      const found: Difference[] = []
      let done = 0
      this.detailed = 0
      for (const page of byDb(suspects)) {
        for (const [i, difference] of (await this.compare(page)).entries()) {
          if (difference === null) continue
          still.push(page[i])
          found.push(difference)
        }
        done += page.length
        this.options.onProgress?.({ stage: 'again', done, total: suspects.length })
      }
      suspects = still
      if (round === this.options.rounds) return found
    }
    return []
  }

  /** Works on some pages at once; the order of their results does not matter. */
  private async inParallel(pages: AsyncIterable<DirtyKey[]>, work: (page: DirtyKey[]) => Promise<void>): Promise<void> {
    const underWay = new Set<Promise<void>>()
    let failure: unknown
    for await (const page of pages) {
      while (underWay.size >= UNDER_WAY) await Promise.race(underWay)
      if (failure !== undefined) break
      const task: Promise<void> = work(page)
        .catch((error: unknown) => {
          failure ??= error
        })
        .finally(() => underWay.delete(task))
      underWay.add(task)
    }
    await Promise.all(underWay)
    if (failure !== undefined) throw failure
  }

  /** Pages of one database each that pass the filter by name. */
  private async *pages(reader: KeyReader): AsyncGenerator<DirtyKey[]> {
    for await (const keys of reader.keys()) {
      const taken = keys.filter(({ db, key }) => this.options.filter.takesKey(db, key))
      for (let from = 0; from < taken.length; from += PAGE) {
        if (this.options.signal.aborted) return
        yield taken.slice(from, from + PAGE)
      }
    }
  }

  private async *targetPages(seen: FingerprintSet): AsyncGenerator<DirtyKey[]> {
    for await (const keys of this.target.keys()) {
      if (this.options.signal.aborted) return
      const unknown = keys.filter(({ db, key }) => {
        if (seen.has(db, key) || !this.targetKeys.takesKey(db, key)) return false
        if (!(this.options.foreign?.(db, key) ?? false)) return true
        this.foreign++
        return false
      })
      for (const page of byDb(unknown)) yield page
    }
  }

  private difference(kind: DifferenceKind, { db, key }: DirtyKey, detail: string): Difference {
    return { kind, db, key: printableKey(key), keyBase64: key.toString('base64'), detail }
  }

  /** One answer per key: null = equal, or gone on both sides, or not of this comparison. Adds the names at the target to `seen`. */
  private async compare(page: readonly DirtyKey[], seen: FingerprintSet | null = null): Promise<(Difference | null)[]> {
    const { keys, names } = await this.named(page, seen)
    const found = keys.length === 0 ? [] : this.withoutLeftOut(await this.compareNamed(keys, names), names)
    if (this.counting) this.leftOut += page.length - keys.length
    if (keys.length === page.length) return found
    let next = 0
    return page.map((key) => (key === keys[next] ? found[next++] : null))
  }

  /** What was left out and told so is no difference, and no match. */
  private withoutLeftOut(found: (Difference | null)[], names: readonly DirtyKey[]): (Difference | null)[] {
    const { leftOut } = this.options
    if (leftOut === undefined) return found
    return found.map((difference, i) => {
      if (difference?.kind !== 'missing-target' || !leftOut(names[i].db, names[i].key)) return difference
      if (this.counting) this.leftOut++
      return null
    })
  }

  private async compareNamed(page: readonly DirtyKey[], names: readonly DirtyKey[]): Promise<(Difference | null)[]> {
    const { source, target } = this
    const same = source.shapes !== undefined && source.raw !== undefined && target.raw !== undefined
    if (!same || this.transform.changesValues || this.options.filter.needsValue) return this.compareRead(page, names)
    const shapes = await source.shapes!(
      page[0].db,
      page.map(({ key }) => key),
      BIG_BYTES,
    )
    const places = [...page.keys()]
    const big = places.filter((i) => shapes[i] === SLICED_SHAPE)
    if (big.length === 0) return this.compareRaw(page, names, shapes)
    const results: (Difference | null)[] = page.map(() => null)
    const some = async (chosen: readonly number[], of: Uint8Array): Promise<void> => {
      const found = await this.compareRaw(
        chosen.map((i) => page[i]),
        chosen.map((i) => names[i]),
        of,
      )
      for (const [n, i] of chosen.entries()) results[i] = found[n]
    }
    await some(
      places.filter((i) => shapes[i] !== SLICED_SHAPE),
      shapes.filter((shape) => shape !== SLICED_SHAPE),
    )
    // Of what is not small only a few are held at once, and what is large comes in slices.
    for (let from = 0; from < big.length; from += BIG_AT_ONCE) {
      const few = big.slice(from, from + BIG_AT_ONCE)
      const exact = await source.shapes!(
        page[0].db,
        few.map((i) => page[i].key),
        LARGE_BYTES,
      )
      await some(
        few.filter((_, n) => exact[n] !== SLICED_SHAPE),
        exact.filter((shape) => shape !== SLICED_SHAPE),
      )
      for (const [n, i] of few.entries())
        if (exact[n] === SLICED_SHAPE) results[i] = await this.compareLarge(page[i], names[i])
    }
    return results
  }

  private async compareRaw(
    page: readonly DirtyKey[],
    names: readonly DirtyKey[],
    shapes: Uint8Array,
  ): Promise<(Difference | null)[]> {
    if (page.length === 0) return []
    const keys = page.map(({ key }) => key)
    const there = names === page ? keys : names.map(({ key }) => key)
    const [left, right] = await Promise.all([
      this.source.raw!(page[0].db, keys, shapes),
      this.target.raw!(names[0].db, there, shapes),
    ])
    if (left === null || right === null) return this.compareRead(page, names)
    if (left.bytes.equals(right.bytes)) return keys.map(() => null)
    const [a, b] = [left.records(), right.records()]
    return Promise.all(page.map((key, i) => this.judge(key, a[i], b[i])))
  }

  private async compareRead(page: readonly DirtyKey[], names: readonly DirtyKey[]): Promise<(Difference | null)[]> {
    const [left, right] = await Promise.all([this.readAll(this.source, page), this.readAll(this.target, names)])
    const { filter } = this.options
    const outside = left.map((read) => read !== null && !(read instanceof Error) && !filter.takes(read))
    const valued = await this.transform.values(
      left.map((read, i) => (read instanceof Error || outside[i] ? null : read)),
    )
    return Promise.all(
      page.map((key, i) => {
        if (outside[i]) return null
        if (this.isLeftOut(left[i], valued[i])) return null
        const read = left[i]
        return this.judge(key, read instanceof Error ? read : valued[i], right[i])
      }),
    )
  }

  /** A value that a rule or script gives nothing for is not carried: that the target lacks it is no news, and no match. */
  private isLeftOut(read: Read, valued: SnapshotRecord | null): boolean {
    if (!this.transform.changesValues || read === null || read instanceof Error || valued !== null) return false
    if (this.counting) this.leftOut++
    return true
  }

  private async compareLarge(key: DirtyKey, there: DirtyKey): Promise<Difference | null> {
    try {
      const [a, b] = await Promise.all([
        this.source.readSliced!(key.db, key.key),
        this.target.readSliced!(there.db, there.key),
      ])
      return await this.judge(key, a, b)
    } catch (error) {
      return this.difference('unreadable', key, (error as Error).message)
    }
  }

  private async judge(key: DirtyKey, a: Read, b: Read): Promise<Difference | null> {
    const { filter, ttlToleranceMs, digest, endsSoonMs = 0 } = this.options
    const soonMs = Math.max(ttlToleranceMs, endsSoonMs)
    const make = (kind: DifferenceKind, detail: string): Difference => this.difference(kind, key, detail)
    if (a instanceof Error) return make('unreadable', `source: ${a.message}`)
    if (b instanceof Error) return make('unreadable', `target: ${b.message}`)
    const now = Date.now()
    // A key whose time is over counts as gone on either side, wherever expiry is in its round.
    const alive = (record: SnapshotRecord | null): SnapshotRecord | null =>
      record === null || (record.expireAt > 0 && record.expireAt <= now) ? null : record
    const from = alive(a)
    const to = alive(b)
    if (from === null && to === null) return null
    if (from === null) {
      if (filter.needsValue && !filter.takes(to!)) return null
      return to!.expireAt > 0 && to!.expireAt - now < soonMs ? null : make('missing-source', 'only at the target')
    }
    if (to === null)
      return from.expireAt > 0 && from.expireAt - now < soonMs ? null : make('missing-target', 'only at the source')
    const types = [typeOf(from.value), typeOf(to.value)]
    if (types[0] !== types[1]) return make('type', `${types[0]} at the source, ${types[1]} at the target`)
    const same =
      from.value.form === 'sliced' && to.value.form === 'sliced'
        ? await sameSliced(from.value, to.value, digest)
        : sameValue(from.value, to.value, digest)
    if (!same) return this.parted(make('value', `the ${types[0]} differs`), from.value, to.value)
    if (this.options.comparesEnds === false || this.options.held?.(key.db, key.key)) return null
    if (from.expireAt > 0 && to.expireAt > 0 && Math.max(from.expireAt, to.expireAt) - now < endsSoonMs) return null
    if ((from.expireAt === 0) !== (to.expireAt === 0) || Math.abs(from.expireAt - to.expireAt) > ttlToleranceMs)
      return make(
        'ttl',
        `expires ${describeExpiry(from.expireAt)} at the source, ${describeExpiry(to.expireAt)} at the target`,
      )
    return null
  }

  /** With the first parts in which the values differ, for as many keys as a person looks at. */
  private parted(difference: Difference, source: Value, target: Value): Difference {
    if (this.counting || this.detailed >= DETAILED) return difference
    const [left, right] = [decodedValue(source), decodedValue(target)]
    if (left === null || right === null) return difference
    this.detailed++
    const { parts, count } = deepDifference(left, right)
    return { ...difference, parts: parts.slice(0, PARTS), partCount: count }
  }

  /** A key that cannot be read does not hide the others of its page. */
  private async readAll(reader: KeyReader, page: readonly DirtyKey[]): Promise<readonly Read[]> {
    if (page.length === 0) return []
    try {
      return await reader.read(
        page[0].db,
        page.map(({ key }) => key),
        true,
      )
    } catch (error) {
      if (page.length === 1) return [error as Error]
      const results: Read[] = []
      for (const key of page) results.push((await this.readAll(reader, [key]))[0])
      return results
    }
  }
}

function describeExpiry(at: number): string {
  return at === 0 ? 'never' : new Date(at).toISOString()
}

function byDb<T extends DirtyKey>(keys: readonly T[]): T[][] {
  const pages: T[][] = []
  const open = new Map<number, T[]>()
  for (const key of keys) {
    let page = open.get(key.db)
    if (page === undefined || page.length >= PAGE) {
      page = []
      open.set(key.db, page)
      pages.push(page)
    }
    page.push(key)
  }
  return pages
}
