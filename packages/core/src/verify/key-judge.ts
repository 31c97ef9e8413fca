import type { DirtyKey, SnapshotRecord, Value } from '@ferrite-migrate/contracts'
import { keyTypeOf } from '@ferrite-migrate/protocol'
import { deepDifference } from '../records/deep-difference.js'
import type { Difference, DifferenceKind } from '../records/difference.js'
import { printableKey } from '../records/printable-key.js'
import { decodedValue, sameSliced, sameValue } from '../records/value-equality.js'
import type { VerifyOptions } from './verify-report.js'

/** Differences of which the parts are told, and how many of these. */
const DETAILED = 100
const PARTS = 3

/** What a side gave for a key: nothing where it has none, an error where it could not be read. */
export type Read = SnapshotRecord | null | Error

export type JudgeOptions = Pick<
  VerifyOptions,
  'filter' | 'ttlToleranceMs' | 'digest' | 'endsSoonMs' | 'comparesEnds' | 'held'
>

/** A difference of a key, in words. */
export function differenceOf(kind: DifferenceKind, { db, key }: DirtyKey, detail: string): Difference {
  return { kind, db, key: printableKey(key), keyBase64: key.toString('base64'), detail }
}

/** Says whether what two sides hold of a key is the same. */
export class KeyJudge {
  private readonly options: JudgeOptions
  /** Not at the first look: what differs then may be on its way. */
  private detailing = false
  /** Differences whose parts were looked for, in this round. */
  private detailed = 0

  constructor(options: JudgeOptions) {
    this.options = options
  }

  /** From now on the parts that differ are told, for as many keys as a person looks at. */
  detail(): void {
    this.detailing = true
    this.detailed = 0
  }

  /**
   * Null = equal, or gone on both sides, or not of this comparison.
   * @param same whether the values are equal, where that is known: those in slices are read only once
   */
  verdict(key: DirtyKey, a: Read, b: Read, same?: boolean): Difference | null {
    if (a instanceof Error) return differenceOf('unreadable', key, `source: ${a.message}`)
    if (b instanceof Error) return differenceOf('unreadable', key, `target: ${b.message}`)
    const now = Date.now()
    const from = alive(a, now)
    const to = alive(b, now)
    if (from === null) return to === null ? null : this.missingSource(key, to, now)
    if (to === null) return this.endsSoon(from, now) ? null : differenceOf('missing-target', key, 'only at the source')
    const type = typeOf(from.value)
    const other = typeOf(to.value)
    if (type !== other) return differenceOf('type', key, `${type} at the source, ${other} at the target`)
    if (!(same ?? sameValue(from.value, to.value, this.options.digest)))
      return this.parted(differenceOf('value', key, `the ${type} differs`), from.value, to.value)
    return this.judgeEnds(key, from.expireAt, to.expireAt, now)
  }

  /** The same for values that may come in slices, which are read to their end. */
  async verdictSliced(key: DirtyKey, a: SnapshotRecord | null, b: SnapshotRecord | null): Promise<Difference | null> {
    const [from, to] = [a?.value, b?.value]
    const sliced = from?.form === 'sliced' && to?.form === 'sliced' && from.type === to.type
    return this.verdict(key, a, b, sliced ? await sameSliced(from, to, this.options.digest) : undefined)
  }

  private missingSource(key: DirtyKey, to: SnapshotRecord, now: number): Difference | null {
    const { filter } = this.options
    if (this.endsSoon(to, now) || (filter.needsValue && !filter.takes(to))) return null
    return differenceOf('missing-source', key, 'only at the target')
  }

  /** One side may have let it go a moment before the other. */
  private endsSoon({ expireAt }: SnapshotRecord, now: number): boolean {
    const { ttlToleranceMs, endsSoonMs = 0 } = this.options
    return expireAt > 0 && expireAt - now < Math.max(ttlToleranceMs, endsSoonMs)
  }

  private judgeEnds(key: DirtyKey, from: number, to: number, now: number): Difference | null {
    const { comparesEnds, held, ttlToleranceMs, endsSoonMs = 0 } = this.options
    if (comparesEnds === false || held?.(key.db, key.key)) return null
    if (from > 0 && to > 0 && Math.max(from, to) - now < endsSoonMs) return null
    if ((from === 0) === (to === 0) && Math.abs(from - to) <= ttlToleranceMs) return null
    return differenceOf(
      'ttl',
      key,
      `expires ${describeExpiry(from)} at the source, ${describeExpiry(to)} at the target`,
    )
  }

  /** With the first parts in which the values differ. */
  private parted(difference: Difference, source: Value, target: Value): Difference {
    if (!this.detailing || this.detailed >= DETAILED) return difference
    const [left, right] = [decodedValue(source), decodedValue(target)]
    if (left === null || right === null) return difference
    this.detailed++
    const { parts, count } = deepDifference(left, right)
    return { ...difference, parts: parts.slice(0, PARTS), partCount: count }
  }
}

/** A key whose time is over counts as gone on either side, wherever expiry is in its round. */
function alive(record: SnapshotRecord | null, now: number): SnapshotRecord | null {
  return record === null || (record.expireAt > 0 && record.expireAt <= now) ? null : record
}

function typeOf(value: Value): string {
  return value.form === 'rdb' ? (keyTypeOf(value.type, value.rdbVersion) ?? `type ${value.type}`) : value.type
}

function describeExpiry(at: number): string {
  return at === 0 ? 'never' : new Date(at).toISOString()
}
