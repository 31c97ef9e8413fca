import {
  type DirtyKey,
  type KeyReader,
  type RawPages,
  SLICED_SHAPE,
  type SnapshotRecord,
} from '@ferrite-migrate/contracts'
import type { FingerprintSet } from '@ferrite-migrate/protocol'
import type { Difference } from '../records/difference.js'
import { isSliced, readPast } from '../records/sliced-record.js'
import type { RecordTransform } from '../transform/record-transform.js'
import { wholeRecord } from '../transform/whole-value.js'
import { differenceOf, type JudgeOptions, KeyJudge, type Read } from './key-judge.js'
import type { VerifyOptions } from './verify-report.js'

/** Values that take more memory than this are read in slices. */
const LARGE_BYTES = 4 << 20
/** Values that take more than this are compared a few at a time. */
const BIG_BYTES = 128 << 10
const BIG_AT_ONCE = 8

/** What values are read from. */
export type PageReader = Pick<KeyReader, 'read' | 'raw'>

/** Both sides, where each understands the other's pages. */
interface RawEnds {
  readonly source: RawPages
  readonly target: RawPages
}

export interface PageComparisonOptions extends JudgeOptions, Pick<VerifyOptions, 'leftOut'> {
  readonly transform: Pick<RecordTransform, 'renames' | 'changesValues' | 'names' | 'values'>
}

/** Compares pages of keys, each of one database, by value: with one question to either side for all keys of a page. */
export class PageComparison {
  /** Keys that a rule or script leaves out, or that were left out and told so: each counts once. */
  leftOut = 0
  private readonly source: PageReader
  private readonly target: PageReader
  private readonly raw: RawEnds | null
  private readonly options: PageComparisonOptions
  private readonly judge: KeyJudge
  private again = false

  constructor(source: PageReader, target: PageReader, options: PageComparisonOptions) {
    this.source = source
    this.target = target
    this.raw = rawEnds(source, target)
    this.options = options
    this.judge = new KeyJudge(options)
  }

  /** From now on keys are looked at that were looked at before. */
  lookAgain(): void {
    this.again = true
    this.judge.detail()
  }

  /** One answer per key: null = equal, or gone on both sides, or not of this comparison. Adds the names at the target to `seen`. */
  async compare(page: readonly DirtyKey[], seen: FingerprintSet | null = null): Promise<(Difference | null)[]> {
    const { keys, names } = await this.named(page, seen)
    const found = keys.length === 0 ? [] : this.withoutLeftOut(await this.compareNamed(keys, names), names)
    this.leaveOut(page.length - keys.length)
    if (keys.length === page.length) return found
    let next = 0
    return page.map((key) => (key === keys[next] ? found[next++] : null))
  }

  /** Differences of records that come from elsewhere (a file); they are valid only during the call. */
  async compareRecords(page: readonly SnapshotRecord[], seen: FingerprintSet): Promise<Difference[]> {
    const { keys, names } = await this.named(page, seen)
    if (keys.length < page.length) for (const record of page) if (!keys.includes(record)) await readPast(record)
    const valued = await this.options.transform.values(keys)
    const read = await readAll(this.target, names)
    const found: Difference[] = []
    for (const [i, record] of keys.entries()) {
      if (this.isLeftOut(record, valued[i])) continue
      const here = valued[i]
      // The other side is held whole as well.
      const whole = here !== null && isSliced(here) ? await wholeRecord(here) : here
      const difference = this.judge.verdict(record, whole, read[i])
      if (difference !== null) found.push(difference)
    }
    return found
  }

  /** Differences of records that were read elsewhere, at one moment of both ends. */
  async judgeAll(
    keys: readonly DirtyKey[],
    source: readonly (SnapshotRecord | null)[],
    target: readonly (SnapshotRecord | null)[],
  ): Promise<Difference[]> {
    const { transform, filter } = this.options
    const names = await transform.names(keys)
    const wanted = keys.map((_, i) => names[i] !== null && (source[i] === null || filter.takes(source[i])))
    const valued = await transform.values(source.map((record, i) => (wanted[i] ? record : null)))
    return keys
      .map((key, i) => (wanted[i] ? this.judge.verdict(key, valued[i], target[i]) : null))
      .filter((one) => one !== null)
  }

  /** Keys that have a name at the target, with that name, which is added to `seen`. */
  async named<T extends DirtyKey>(
    page: readonly T[],
    seen: FingerprintSet | null,
  ): Promise<{ keys: readonly T[]; names: readonly DirtyKey[] }> {
    const { transform } = this.options
    if (!transform.renames) {
      if (seen !== null) for (const { db, key } of page) seen.add(db, key)
      return { keys: page, names: page }
    }
    const all = await transform.names(page)
    const names = all.filter((name) => name !== null)
    if (seen !== null) for (const { db, key } of names) seen.add(db, key)
    return { keys: page.filter((_, i) => all[i] !== null), names }
  }

  /** What was left out and told so is no difference, and no match. */
  private withoutLeftOut(found: (Difference | null)[], names: readonly DirtyKey[]): (Difference | null)[] {
    const { leftOut } = this.options
    if (leftOut === undefined) return found
    return found.map((difference, i) => {
      if (difference?.kind !== 'missing-target' || !leftOut(names[i].db, names[i].key)) return difference
      this.leaveOut(1)
      return null
    })
  }

  private leaveOut(keys: number): void {
    if (!this.again) this.leftOut += keys
  }

  private async compareNamed(page: readonly DirtyKey[], names: readonly DirtyKey[]): Promise<(Difference | null)[]> {
    const { raw } = this
    const { transform, filter } = this.options
    if (raw === null || transform.changesValues || filter.needsValue) return this.compareRead(page, names)
    const shapes = await shapesOf(raw.source, page, BIG_BYTES)
    return shapes.includes(SLICED_SHAPE)
      ? this.compareMixed(raw, page, names, shapes)
      : this.compareRaw(raw, page, names, shapes)
  }

  /** A page with values that are not small: of these only a few are held at once, and what is large comes in slices. */
  private async compareMixed(
    raw: RawEnds,
    page: readonly DirtyKey[],
    names: readonly DirtyKey[],
    shapes: Uint8Array,
  ): Promise<(Difference | null)[]> {
    const results: (Difference | null)[] = page.map(() => null)
    const compareWhole = async (places: readonly number[], of: Uint8Array): Promise<void> => {
      const whole = places.filter((_, n) => of[n] !== SLICED_SHAPE)
      const found = await this.compareRaw(
        raw,
        whole.map((i) => page[i]),
        whole.map((i) => names[i]),
        of.filter((shape) => shape !== SLICED_SHAPE),
      )
      for (const [n, i] of whole.entries()) results[i] = found[n]
    }
    const places = [...page.keys()]
    await compareWhole(places, shapes)
    const big = places.filter((i) => shapes[i] === SLICED_SHAPE)
    for (let from = 0; from < big.length; from += BIG_AT_ONCE) {
      const few = big.slice(from, from + BIG_AT_ONCE)
      const exact = await shapesOf(
        raw.source,
        few.map((i) => page[i]),
        LARGE_BYTES,
      )
      await compareWhole(few, exact)
      for (const [n, i] of few.entries())
        if (exact[n] === SLICED_SHAPE) results[i] = await this.compareLarge(raw, page[i], names[i])
    }
    return results
  }

  /** By the bytes that both sides sent: only pages that differ in them are taken apart. */
  private async compareRaw(
    { source, target }: RawEnds,
    page: readonly DirtyKey[],
    names: readonly DirtyKey[],
    shapes: Uint8Array,
  ): Promise<(Difference | null)[]> {
    if (page.length === 0) return []
    const keys = page.map(({ key }) => key)
    const there = names === page ? keys : names.map(({ key }) => key)
    const [left, right] = await Promise.all([
      source.page(page[0].db, keys, shapes),
      target.page(names[0].db, there, shapes),
    ])
    if (left === null || right === null) return this.compareRead(page, names)
    if (left.bytes.equals(right.bytes)) return keys.map(() => null)
    const [a, b] = [left.records(), right.records()]
    return page.map((key, i) => this.judge.verdict(key, a[i], b[i]))
  }

  private async compareRead(page: readonly DirtyKey[], names: readonly DirtyKey[]): Promise<(Difference | null)[]> {
    const { filter, transform } = this.options
    const [left, right] = await Promise.all([readAll(this.source, page), readAll(this.target, names)])
    const outside = left.map((read) => read !== null && !(read instanceof Error) && !filter.takes(read))
    const valued = await transform.values(left.map((read, i) => (read instanceof Error || outside[i] ? null : read)))
    return page.map((key, i) => {
      const read = left[i]
      if (outside[i] || this.isLeftOut(read, valued[i])) return null
      return this.judge.verdict(key, read instanceof Error ? read : valued[i], right[i])
    })
  }

  /** A value that a rule or script gives nothing for is not carried: that the target lacks it is no news, and no match. */
  private isLeftOut(read: Read, valued: SnapshotRecord | null): boolean {
    if (!this.options.transform.changesValues || read === null || read instanceof Error || valued !== null) return false
    this.leaveOut(1)
    return true
  }

  private async compareLarge({ source, target }: RawEnds, key: DirtyKey, there: DirtyKey): Promise<Difference | null> {
    try {
      const [a, b] = await Promise.all([source.sliced(key.db, key.key), target.sliced(there.db, there.key)])
      return await this.judge.verdictSliced(key, a, b)
    } catch (error) {
      return differenceOf('unreadable', key, (error as Error).message)
    }
  }
}

function rawEnds({ raw: source }: PageReader, { raw: target }: PageReader): RawEnds | null {
  return source === undefined || source.form !== target?.form ? null : { source, target }
}

function shapesOf(pages: RawPages, page: readonly DirtyKey[], limit: number): Promise<Uint8Array> {
  return pages.shapes(
    page[0].db,
    page.map(({ key }) => key),
    limit,
  )
}

/** A key that cannot be read does not hide the others of its page. */
async function readAll(reader: PageReader, page: readonly DirtyKey[]): Promise<readonly Read[]> {
  if (page.length === 0) return []
  const keys = page.map(({ key }) => key)
  try {
    return await reader.read(page[0].db, keys, true)
  } catch (error) {
    if (page.length === 1) return [error as Error]
    const results: Read[] = []
    for (const key of page) results.push((await readAll(reader, [key]))[0])
    return results
  }
}
