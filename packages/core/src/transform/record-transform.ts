import {
  type DirtyKey,
  MigrateError,
  PackedRecord,
  type SnapshotRecord,
  type Transform,
} from '@ferrite-migrate/contracts'
import { printableKey } from '../records/printable-key.js'
import { isSliced } from '../records/sliced-record.js'
import type { KeyRule } from './key-rule.js'
import { NameBlock } from './name-block.js'
import { recordType, ValueBatch } from './value-batch.js'
import type { ValueRule } from './value-rule.js'
import { wholeRecord } from './whole-value.js'

/** What becomes of a key whose value cannot be transformed: end the run, leave the key out, or carry it as it is. */
export type ErrorPolicy = 'fail' | 'skip' | 'pass'

/** A value that could not be transformed. */
export interface TransformFault {
  readonly db: number
  readonly key: Buffer
  readonly reason: string
}

export interface RecordTransformOptions {
  readonly keyRules: readonly KeyRule[]
  readonly valueRules: readonly ValueRule[]
  /** Functions of the user's own; its keys come after the rules. */
  readonly script: Transform | null
  /** The template around a name, after everything else. */
  readonly template: KeyRule | null
  /** Databases that become others. */
  readonly dbs: ReadonlyMap<number, number>
  /** What becomes of the end of a key (absolute ms, 0 = never); null = it stays. */
  readonly end: ((expireAt: number) => number) | null
  readonly onError: ErrorPolicy
  onFault?(fault: TransformFault): void
  /** Ends whatever the rules and the script run in. */
  close?(): Promise<void>
}

/**
 * What happens to records between source and target: values first, under their names at the source, then names, then
 * databases. The same for the snapshot, the stream of changes and every comparison.
 */
export class RecordTransform {
  /** Nothing is renamed, moved or changed. */
  readonly open: boolean
  /** Keys have other names or databases at the target. */
  readonly renames: boolean
  readonly changesValues: boolean
  /** Two keys never become one. */
  readonly injective: boolean
  private readonly options: RecordTransformOptions
  /** `originals` tells every name that a key of the target may have at the source. */
  readonly traceable: boolean
  private readonly rules: readonly KeyRule[]
  private readonly dbs: ReadonlyMap<number, number>

  constructor(options: RecordTransformOptions) {
    this.options = options
    this.dbs = options.dbs
    const { keyRules, template, dbs, script } = options
    this.rules = template === null ? keyRules : [...keyRules, template]
    const moves = [...dbs].some(([from, to]) => from !== to)
    const merges = [...dbs.values()].some((to) => !dbs.has(to))
    this.renames = this.rules.length > 0 || moves || script?.keys !== undefined
    this.changesValues = options.valueRules.length > 0 || script?.values !== undefined || options.end !== null
    this.open = !this.renames && !this.changesValues
    this.injective = script?.keys === undefined && !merges && this.rules.every((rule) => rule.injective)
    this.traceable = script?.keys === undefined && this.rules.every((rule) => rule.traceable)
  }

  /** The same with other numbers for databases. */
  withDatabases(dbs: ReadonlyMap<number, number>): RecordTransform {
    return new RecordTransform({ ...this.options, dbs })
  }

  /** The same, which tells nobody of faults: for comparisons, which meet those that were told before. */
  quiet(): RecordTransform {
    const { onFault: _, ...options } = this.options
    return new RecordTransform(options)
  }

  async close(): Promise<void> {
    await this.options.close?.()
  }

  /**
   * Names at the target; null = left out. Names are new Buffers or the given ones.
   * @throws MigrateError FM_TRANSFORM_KEY when one cannot be named
   */
  async names(keys: readonly DirtyKey[]): Promise<(DirtyKey | null)[]> {
    if (!this.renames) return [...keys]
    const { script } = this.options
    const out: (DirtyKey | null)[] = []
    if (script?.keys === undefined) {
      for (const { db, key } of keys) out.push({ db: this.dbs.get(db) ?? db, key: this.ruled(this.rules, db, key) })
      return out
    }
    const { keyRules, template } = this.options
    const ruled = keys.map(({ db, key }) => ({ db, key: this.ruled(keyRules, db, key) }))
    for (const [i, answer] of (await script.keys(ruled)).entries()) {
      const { db, key } = keys[i]
      if (answer instanceof Error) throw keyFault(key, answer)
      out.push(
        answer === null
          ? null
          : { db: this.dbs.get(db) ?? db, key: template === null ? answer : template.apply(answer, db, key) },
      )
    }
    return out
  }

  private ruled(rules: readonly KeyRule[], db: number, original: Buffer): Buffer {
    let key = original
    for (const rule of rules) key = rule.apply(key, db, original)
    return key
  }

  /** What a key of the target may be called at the source: none = no key of the source comes to be called so; null = cannot be told. */
  originals(db: number, key: Buffer): readonly DirtyKey[] | null {
    if (!this.traceable) return null
    const from = this.cameFrom(db)
    let candidates: readonly Buffer[] = [key]
    for (const rule of [...this.rules].reverse()) candidates = candidates.flatMap((one) => rule.before(one))
    // A rule may not apply to what would have become this: only those count that do.
    return from.flatMap((one) =>
      candidates
        .filter((name) => this.ruled(this.rules, one, name).equals(key))
        .map((name) => ({ db: one, key: name })),
    )
  }

  /** The databases of the source whose keys are in this one of the target. */
  cameFrom(db: number): readonly number[] {
    const { dbs } = this.options
    const from = [...dbs].filter(([, to]) => to === db).map(([one]) => one)
    return dbs.has(db) ? from : [...from, db]
  }

  /** Records as the target gets them; those that are left out are missing. */
  async records(records: readonly SnapshotRecord[]): Promise<SnapshotRecord[]> {
    if (this.open) return [...records]
    const valued = this.changesValues ? (await this.values(records)).filter((record) => record !== null) : records
    return this.renamed(valued)
  }

  /** The same records under their names at the target. */
  async renamed(records: readonly SnapshotRecord[]): Promise<SnapshotRecord[]> {
    return (await this.renamedPairs(records)).renamed
  }

  /** The records that have a name at the target, before and after; the two lists go together. */
  async renamedPairs(
    records: readonly SnapshotRecord[],
  ): Promise<{ readonly originals: readonly SnapshotRecord[]; readonly renamed: SnapshotRecord[] }> {
    if (!this.renames) return { originals: records, renamed: [...records] }
    const renamed: SnapshotRecord[] = []
    if (this.options.script?.keys === undefined) {
      const block = new NameBlock(this.rules, this.dbs)
      for (const record of records) renamed.push(block.renamed(record))
      return { originals: records, renamed }
    }
    const originals: SnapshotRecord[] = []
    const names = await this.names(records)
    for (let i = 0; i < records.length; i++) {
      const name = names[i]
      if (name === null) continue
      originals.push(records[i])
      renamed.push(moved(records[i], name.db, name.key))
    }
    return { originals, renamed }
  }

  /**
   * Records with their values at the target, under their names at the source; null = left out.
   * @throws MigrateError FM_TRANSFORM_VALUE under the policy `fail`
   */
  async values(records: readonly (SnapshotRecord | null)[]): Promise<(SnapshotRecord | null)[]> {
    if (!this.changesValues) return [...records]
    const { valueRules, script } = this.options
    const batch = new ValueBatch(await this.held(records))
    for (const rule of valueRules) await batch.apply(rule)
    if (script?.values !== undefined) await batch.ask(script.values.bind(script))
    return this.withEnds(batch.result((record, error) => this.judge(record, error)))
  }

  /** What a rule or the script looks at is held whole. */
  private async held(records: readonly (SnapshotRecord | null)[]): Promise<readonly (SnapshotRecord | null)[]> {
    const out = [...records]
    for (const [i, record] of out.entries())
      if (record !== null && isSliced(record) && this.takesValue(record)) out[i] = await wholeRecord(record)
    return out
  }

  private withEnds(records: (SnapshotRecord | null)[]): (SnapshotRecord | null)[] {
    const { end } = this.options
    if (end === null) return records
    return records.map((record) => {
      if (record === null) return null
      const expireAt = end(record.expireAt)
      if (expireAt === record.expireAt) return record
      return record instanceof PackedRecord
        ? record.moved(record.db, expireAt, record.keyData, record.keyStart, record.keyEnd)
        : { db: record.db, key: record.key, value: record.value, expireAt }
    })
  }

  /** True when a rule or the script looks at this value. */
  private takesValue(record: SnapshotRecord): boolean {
    const type = recordType(record)
    if (type === undefined || type === 'module') return false
    const { valueRules, script } = this.options
    return script?.values !== undefined || valueRules.some((rule) => rule.takes(record.db, record.key, type))
  }

  /** What becomes of a record whose value cannot be transformed. */
  private judge(record: SnapshotRecord, error: Error): SnapshotRecord | null {
    const { db, key } = record
    // A fault of the machinery is nobody's value.
    if (error instanceof MigrateError && error.code === 'FM_TRANSFORM_FAILED') throw error
    const reason = error.message
    this.options.onFault?.({ db, key, reason })
    if (this.options.onError === 'fail')
      throw new MigrateError(
        'FM_TRANSFORM_VALUE',
        `the value of ${printableKey(key)} cannot be transformed: ${reason}`,
        /^it (looks like|is text|is the text)/.test(reason)
          ? 'Limit the rule with match: or types: to the keys that hold that format, or choose --on-transform-error skip or pass.'
          : 'Limit the rule by match or types, or choose --on-transform-error skip (leave such keys out) or pass (carry them as they are).',
        { cause: error },
      )
    return this.options.onError === 'skip' ? null : record
  }
}

/** A record under another name. */
function moved(record: SnapshotRecord, db: number, key: Buffer): SnapshotRecord {
  return record instanceof PackedRecord
    ? record.moved(db, record.expireAt, key, 0, key.length)
    : { db, key, value: record.value, expireAt: record.expireAt }
}

function keyFault(key: Buffer, error: Error): MigrateError {
  return error instanceof MigrateError && error.code === 'FM_TRANSFORM_FAILED'
    ? error
    : new MigrateError(
        'FM_TRANSFORM_KEY',
        `the key ${printableKey(key)} cannot be renamed: ${error.message}`,
        'Correct the script; ferrite-migrate transform test shows what it does without writing anything.',
        { cause: error },
      )
}

/** Keys keep their names and values. */
export const NO_TRANSFORM = new RecordTransform({
  keyRules: [],
  valueRules: [],
  script: null,
  template: null,
  dbs: new Map(),
  end: null,
  onError: 'fail',
})
