import {
  type DecodedRecord,
  type DecodedValue,
  PackedRecord,
  type SnapshotRecord,
  type Transform,
} from '@ferrite-migrate/contracts'
import { decodeValue, keyTypeOf } from '@ferrite-migrate/protocol'
import { type ValueRule, withParts } from './value-rule.js'

type Answer = Awaited<ReturnType<NonNullable<Transform['values']>>>[number]

/** A value that a rule is for: the strings of it that are asked, from a place in the question on. */
interface Use {
  readonly i: number
  readonly from: number
  readonly parts: ReturnType<ValueRule['parts']>
}

/** Values of a batch on their way through rules and a script; each is decoded once, and only where something is for it. */
export class ValueBatch {
  private readonly records: (SnapshotRecord | null)[]
  private readonly decoded = new Map<number, DecodedValue>()
  private readonly changed = new Set<number>()
  private readonly failed = new Map<number, Error>()

  constructor(records: readonly (SnapshotRecord | null)[]) {
    this.records = [...records]
  }

  /** Asks a rule for all strings of the batch at once. */
  async apply(rule: ValueRule): Promise<void> {
    const items: Buffer[] = []
    const uses: Use[] = []
    for (const [i, record] of this.open()) {
      const type = recordType(record)
      if (type === undefined || !rule.takes(record.db, record.key, type)) continue
      const value = this.valueOf(i, record)
      if (value === null) continue
      const parts = rule.parts(value)
      uses.push({ i, from: items.length, parts })
      for (const { entry, at } of parts)
        items.push(value.form === 'stream' ? value.entries[entry].fields[at] : value.items[at])
    }
    if (items.length === 0) return
    const answers = await rule.apply(items)
    for (const use of uses) this.put(use, answers)
  }

  /** Asks a script for all values of the batch at once. */
  async ask(script: NonNullable<Transform['values']>): Promise<void> {
    const asked: number[] = []
    const questions: DecodedRecord[] = []
    for (const [i, record] of this.open()) {
      if (recordType(record) === 'module') continue
      const value = this.valueOf(i, record)
      if (value === null) continue
      asked.push(i)
      questions.push({ db: record.db, key: record.key, value, expireAt: record.expireAt })
    }
    const answers = questions.length === 0 ? [] : await script(questions)
    for (const [n, i] of asked.entries()) this.answer(i, answers[n])
  }

  /**
   * The records with their values; null = left out.
   * @param judge what becomes of a record whose value cannot be transformed
   */
  result(judge: (record: SnapshotRecord, error: Error) => SnapshotRecord | null): (SnapshotRecord | null)[] {
    return this.judged(judge).map((record, i) => {
      const value = this.changed.has(i) && !this.failed.has(i) ? this.decoded.get(i) : undefined
      return record === null || value === undefined
        ? record
        : { db: record.db, key: record.key, expireAt: record.expireAt, value }
    })
  }

  private judged(judge: (record: SnapshotRecord, error: Error) => SnapshotRecord | null): (SnapshotRecord | null)[] {
    const out = [...this.records]
    for (const [i, error] of this.failed) {
      const record = out[i]
      if (record !== null) out[i] = judge(record, error)
    }
    return out
  }

  /** Those that are neither left out nor failed. */
  private *open(): Generator<readonly [number, SnapshotRecord]> {
    for (const [i, record] of this.records.entries()) if (record !== null && !this.failed.has(i)) yield [i, record]
  }

  private valueOf(i: number, record: SnapshotRecord): DecodedValue | null {
    const known = this.decoded.get(i)
    if (known !== undefined) return known
    try {
      const value = decodedValue(record)
      if (value !== null) this.decoded.set(i, value)
      return value
    } catch (error) {
      this.failed.set(i, error as Error)
      return null
    }
  }

  private put({ i, from, parts }: Use, answers: readonly (Buffer | Error)[]): void {
    const strings: Buffer[] = []
    for (const answer of answers.slice(from, from + parts.length)) {
      if (answer instanceof Error) {
        this.failed.set(i, answer)
        return
      }
      strings.push(answer)
    }
    try {
      this.change(i, withParts(this.decoded.get(i)!, parts, strings))
    } catch (error) {
      this.failed.set(i, error as Error)
    }
  }

  private answer(i: number, answer: Answer): void {
    if (answer instanceof Error) this.failed.set(i, answer)
    else if (answer === null) this.records[i] = null
    else this.change(i, answer)
  }

  private change(i: number, value: DecodedValue): void {
    if (value === this.decoded.get(i)) return
    this.decoded.set(i, value)
    this.changed.add(i)
  }
}

/** The type of a record's value; undefined = it is not known here. */
export function recordType(record: SnapshotRecord): string | undefined {
  if (record instanceof PackedRecord) return keyTypeOf(record.type, record.rdbVersion)
  const { value } = record
  return value.form === 'rdb' ? keyTypeOf(value.type, value.rdbVersion) : value.type
}

/** The value to work on; null = only a module could read it. */
function decodedValue({ value }: SnapshotRecord): DecodedValue | null {
  if (value.form === 'sliced') return null
  if (value.form !== 'rdb') return value
  return keyTypeOf(value.type, value.rdbVersion) === 'module'
    ? null
    : decodeValue(value.type, value.body, value.rdbVersion)
}
