import { setTimeout as sleep } from 'node:timers/promises'
import type { DirtyKey, KeyReader, SnapshotRecord } from '@ferrite-migrate/contracts'
import { FingerprintSet } from '@ferrite-migrate/protocol'
import type { ComparedPart } from '../engine/compared-part.js'
import type { Difference, DifferenceKind } from '../records/difference.js'
import type { RecordTransform } from '../transform/record-transform.js'
import { TargetKeys } from '../transform/target-keys.js'
import { differenceOf } from './key-judge.js'
import { PageComparison, type PageReader } from './page-comparison.js'
import type { VerifyOptions, VerifyReport } from './verify-report.js'

const PAGE = 500
/** Pages under way at once: enough to keep both servers busy while one is compared. */
const UNDER_WAY = 4
const REPORTED = 1000
/** Differences kept to look at again; more than that are counted at once, since no pause will mend them. */
const SUSPECTS = 200_000
/** Differences of a part that are named. */
const OF_PART = 20_000

/** A store that is compared: its names, and its values. */
export type ComparedReader = PageReader & Pick<KeyReader, 'keys' | 'size' | 'exist'>

/** Compares two stores both ways by value. While data changes, only differences that stay count. */
export class Verifier {
  private readonly source: ComparedReader
  private readonly target: ComparedReader
  private readonly options: VerifyOptions
  private readonly transform: RecordTransform
  private readonly targetKeys: TargetKeys
  private readonly pages: PageComparison
  private foreign = 0
  /** Keys of the source, where it was asked; whatever the filter. */
  private sourceKeys = 0

  /** Keys are named as at the source; what only the target has under other names, as there. */
  constructor(source: ComparedReader, target: ComparedReader, options: VerifyOptions) {
    this.source = source
    this.target = target
    this.options = options
    this.transform = options.transform
    this.targetKeys = new TargetKeys(options.filter, options.transform)
    this.pages = new PageComparison(source, target, options)
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
    const parts = await this.elsewhere((done) => {
      compared = done
      tell()
    })
    compared = 0
    for (const part of parts ?? []) {
      for (const one of part.differences) suspect({ db: one.db, key: Buffer.from(one.keyBase64, 'base64') }, one)
      compared += part.compared
      this.pages.leftOut += part.leftOut
    }
    if (parts === null)
      await this.inParallel(this.sourcePages(), async (page) => {
        for (const [i, difference] of (await this.pages.compare(page, seen)).entries())
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
          suspect(key, differenceOf('missing-source', key, 'only at the target'))
        })
        tell()
      })
    for (const difference of await this.settle(suspects)) found.push(difference)
    if (compared === 0) for (const size of (await this.source.size()).values()) this.sourceKeys += size
    return this.report(compared, found, surplus)
  }

  private async elsewhere(done: (compared: number) => void): Promise<readonly ComparedPart[] | null> {
    // What only the target has is found by the names of all keys of the source.
    if (this.transform.renames) return null
    return (await this.options.elsewhere?.(done)) ?? null
  }

  /**
   * Compares, once, those keys of the source that `owns` takes.
   * @param shards whose keys these are
   */
  async part(
    shards: readonly string[],
    owns: (db: number, key: Buffer) => boolean,
  ): Promise<Omit<ComparedPart, 'slots'>> {
    const differences: Difference[] = []
    let compared = 0
    let more = false
    await this.inParallel(this.sourcePages(shards), async (page) => {
      const own = page.filter(({ db, key }) => owns(db, key))
      for (const difference of await this.pages.compare(own)) {
        if (difference === null) continue
        if (differences.length < OF_PART) differences.push(difference)
        else more = true
      }
      compared += own.length
    })
    const complete = !more && !this.options.signal.aborted
    return { compared, leftOut: this.pages.leftOut, differences, complete }
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
      for (const [i, difference] of (await this.pages.compare(page)).entries()) if (difference) suspects.push(page[i])
    return this.report(taken.length, await this.settle(suspects), 0)
  }

  /** Compares records that come from elsewhere (a file) with the target; they are valid only during the call. */
  async compareRecords(records: readonly SnapshotRecord[], seen: FingerprintSet): Promise<Difference[]> {
    const differences: Difference[] = []
    for (const page of byDb(records))
      for (const difference of await this.pages.compareRecords(page, seen)) differences.push(difference)
    return differences
  }

  /** Judges records that were read elsewhere, at one moment of both ends. */
  judgeAll(
    keys: readonly DirtyKey[],
    source: readonly (SnapshotRecord | null)[],
    target: readonly (SnapshotRecord | null)[],
  ): Promise<Difference[]> {
    return this.pages.judgeAll(keys, source, target)
  }

  /** Target keys to which no key of the source comes; `seen` holds the names that there are. */
  async surplus(seen: FingerprintSet): Promise<Difference[]> {
    const found: Difference[] = []
    for await (const page of this.targetPages(seen))
      for (const key of page) found.push(differenceOf('missing-source', key, 'only at the target'))
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
      for await (const page of this.sourcePages()) await this.pages.named(page, names)
      extras = extras.filter(({ db, key }) => there.has(db, key) && !names.has(db, key))
    }
    return extras.map((key) => differenceOf('missing-source', key, 'only at the target'))
  }

  report(compared: number, found: readonly Difference[], surplus: number): VerifyReport {
    const count = (kind: DifferenceKind): number => found.filter((one) => one.kind === kind).length
    const missingSource = count('missing-source')
    const missingTarget = count('missing-target')
    const complete = !this.options.signal.aborted
    const looked = compared - this.pages.leftOut
    const nothing = looked === 0 && this.pages.leftOut === 0 && this.sourceKeys > 0
    return {
      compared: looked,
      matching: looked - found.length,
      mismatched: found.length - missingSource - missingTarget,
      missingSource,
      missingTarget,
      differences: found.slice(0, this.options.reported ?? REPORTED),
      equal: complete && !nothing && found.length === 0 && surplus === 0,
      complete,
      leftOut: this.pages.leftOut,
      foreign: this.foreign,
      nothing,
      at: Date.now(),
    }
  }

  /** Looks at suspects again until they are equal or the rounds are over; gives what stays different. */
  private async settle(all: readonly DirtyKey[]): Promise<Difference[]> {
    this.pages.lookAgain()
    let suspects = all
    let pause = this.options.pauseMs
    for (let round = 1; round <= this.options.rounds && suspects.length > 0 && !this.options.signal.aborted; round++) {
      await sleep(pause, undefined, { signal: this.options.signal }).catch(() => undefined)
      pause *= 2
      const still: DirtyKey[] = []
      const found: Difference[] = []
      let done = 0
      this.pages.lookAgain()
      for (const page of byDb(suspects)) {
        for (const [i, difference] of (await this.pages.compare(page)).entries()) {
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
  private async *sourcePages(shards?: readonly string[]): AsyncGenerator<DirtyKey[]> {
    for await (const keys of this.source.keys(shards === undefined ? {} : { shards })) {
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
