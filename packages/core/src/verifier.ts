import { setTimeout as sleep } from 'node:timers/promises'
import type { DirtyKey, KeyReader, SnapshotRecord, Value } from '@ferrite-migrate/contracts'
import { type DigestOptions, keyTypeOf } from '@ferrite-migrate/protocol'
import type { RecordFilter } from './key-filter.js'
import { printableKey } from './progress.js'
import { sameValue } from './value-equality.js'

export type DifferenceKind = 'missing-target' | 'missing-source' | 'type' | 'value' | 'ttl' | 'unreadable'

export interface Difference {
  readonly kind: DifferenceKind
  readonly db: number
  readonly key: string
  /** All bytes of the key. */
  readonly keyBase64: string
  readonly detail: string
}

export interface VerifyReport {
  readonly compared: number
  readonly matching: number
  readonly mismatched: number
  readonly missingSource: number
  readonly missingTarget: number
  /** At most a thousand. */
  readonly differences: readonly Difference[]
  readonly equal: boolean
}

export interface VerifyOptions {
  readonly filter: RecordFilter
  readonly digest: DigestOptions
  readonly ttlToleranceMs: number
  /** How often a difference is looked at again before it counts. */
  readonly rounds: number
  /** Pause before the first of these, ms; each is twice the former. */
  readonly pauseMs: number
  readonly signal: AbortSignal
  onProgress?(compared: number): void
}

const PAGE = 500
const REPORTED = 1000
/** Differences kept to look at again; more than that are counted at once, since no pause will mend them. */
const SUSPECTS = 200_000

function typeOf(value: Value): string {
  return value.form === 'rdb' ? (keyTypeOf(value.type, value.rdbVersion) ?? `type ${value.type}`) : value.type
}

/** Compares two stores both ways by value. While data changes, only differences that stay count. */
export class Verifier {
  private readonly source: KeyReader
  private readonly target: KeyReader
  private readonly options: VerifyOptions

  constructor(source: KeyReader, target: KeyReader, options: VerifyOptions) {
    this.source = source
    this.target = target
    this.options = options
  }

  async run(): Promise<VerifyReport> {
    let compared = 0
    const suspects: DirtyKey[] = []
    let surplus = 0
    const found: Difference[] = []
    const suspect = (key: DirtyKey, difference: Difference): void => {
      if (suspects.length < SUSPECTS) suspects.push({ db: key.db, key: Buffer.from(key.key) })
      else {
        surplus++
        found.push(difference)
      }
    }
    for await (const page of this.pages(this.source)) {
      compared += page.length
      for (const [i, difference] of (await this.compare(page)).entries()) if (difference) suspect(page[i], difference)
      this.options.onProgress?.(compared)
    }
    for await (const page of this.pages(this.target)) {
      const there = await this.source.exist(
        page[0].db,
        page.map(({ key }) => key),
      )
      page.forEach((key, i) => {
        if (there[i]) return
        compared++
        suspect(key, {
          kind: 'missing-source',
          db: key.db,
          key: printableKey(key.key),
          keyBase64: key.key.toString('base64'),
          detail: 'only at the target',
        })
      })
      this.options.onProgress?.(compared)
    }
    found.push(...(await this.settle(suspects)))
    return this.report(compared, found, surplus)
  }

  /** Compares these keys only, both ways. */
  async compareKeys(keys: readonly DirtyKey[]): Promise<VerifyReport> {
    const taken = keys.filter(({ db, key }) => this.options.filter.takesKey(db, key))
    const suspects: DirtyKey[] = []
    for (const page of byDb(taken))
      for (const [i, difference] of (await this.compare(page)).entries()) if (difference) suspects.push(page[i])
    return this.report(taken.length, await this.settle(suspects), 0)
  }

  /** Looks at suspects again until they are equal or the rounds are over; gives what stays different. */
  private async settle(all: readonly DirtyKey[]): Promise<Difference[]> {
    let suspects = all
    let pause = this.options.pauseMs
    for (let round = 1; round <= this.options.rounds && suspects.length > 0 && !this.options.signal.aborted; round++) {
      await sleep(pause, undefined, { signal: this.options.signal }).catch(() => undefined)
      pause *= 2
      const still: DirtyKey[] = []
      const found: Difference[] = []
      for (const page of byDb(suspects))
        for (const [i, difference] of (await this.compare(page)).entries()) {
          if (difference === null) continue
          still.push(page[i])
          found.push(difference)
        }
      suspects = still
      if (round === this.options.rounds) return found
    }
    return []
  }

  private report(compared: number, found: readonly Difference[], surplus: number): VerifyReport {
    const count = (kind: DifferenceKind): number => found.filter((one) => one.kind === kind).length
    const missingSource = count('missing-source')
    const missingTarget = count('missing-target')
    return {
      compared,
      matching: compared - found.length,
      mismatched: found.length - missingSource - missingTarget,
      missingSource,
      missingTarget,
      differences: found.slice(0, REPORTED),
      equal: found.length === 0 && surplus === 0,
    }
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

  /** One answer per key: null = equal, or gone on both sides, or not of this migration. */
  private async compare(page: readonly DirtyKey[]): Promise<(Difference | null)[]> {
    const db = page[0].db
    const keys = page.map(({ key }) => key)
    const [left, right] = await Promise.all([this.readAll(this.source, db, keys), this.readAll(this.target, db, keys)])
    const now = Date.now()
    return keys.map((key, i) => {
      const a = left[i]
      const b = right[i]
      const make = (kind: DifferenceKind, detail: string): Difference => ({
        kind,
        db,
        key: printableKey(key),
        keyBase64: key.toString('base64'),
        detail,
      })
      if (a instanceof Error) return make('unreadable', `source: ${a.message}`)
      if (b instanceof Error) return make('unreadable', `target: ${b.message}`)
      // A key whose time is over counts as gone on either side, wherever expiry is in its round.
      const alive = (record: SnapshotRecord | null): SnapshotRecord | null =>
        record === null || (record.expireAt > 0 && record.expireAt <= now) ? null : record
      const from = alive(a)
      const to = alive(b)
      if (from === null && to === null) return null
      if (from === null) {
        if (this.options.filter.needsValue && !this.options.filter.takes(to!)) return null
        return to!.expireAt > 0 && to!.expireAt - now < this.options.ttlToleranceMs
          ? null
          : make('missing-source', 'only at the target')
      }
      if (!this.options.filter.takes(from)) return null
      if (to === null)
        return from.expireAt > 0 && from.expireAt - now < this.options.ttlToleranceMs
          ? null
          : make('missing-target', 'only at the source')
      const types = [typeOf(from.value), typeOf(to.value)]
      if (types[0] !== types[1]) return make('type', `${types[0]} at the source, ${types[1]} at the target`)
      if (!sameValue(from.value, to.value, this.options.digest)) return make('value', `the ${types[0]} differs`)
      if (
        (from.expireAt === 0) !== (to.expireAt === 0) ||
        Math.abs(from.expireAt - to.expireAt) > this.options.ttlToleranceMs
      )
        return make(
          'ttl',
          `expires ${describeExpiry(from.expireAt)} at the source, ${describeExpiry(to.expireAt)} at the target`,
        )
      return null
    })
  }

  /** A key that cannot be read does not hide the others of its page. */
  private async readAll(
    reader: KeyReader,
    db: number,
    keys: readonly Buffer[],
  ): Promise<readonly (SnapshotRecord | null | Error)[]> {
    try {
      return await reader.read(db, keys, true)
    } catch (error) {
      if (keys.length === 1) return [error as Error]
      const results: (SnapshotRecord | null | Error)[] = []
      for (const key of keys) results.push((await this.readAll(reader, db, [key]))[0])
      return results
    }
  }
}

function describeExpiry(at: number): string {
  return at === 0 ? 'never' : new Date(at).toISOString()
}

function byDb(keys: readonly DirtyKey[]): DirtyKey[][] {
  const pages: DirtyKey[][] = []
  const open = new Map<number, DirtyKey[]>()
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
