import { type DirtyKey, MigrateError, PackedRecord, type SnapshotRecord } from '@ferrite-migrate/contracts'
import type { RecordFilter } from './key-filter.js'

const PLACE = '{key}'

/** Gives keys other names (`prefix:{key}`) and other databases (`0:1`) on their way to the target. */
export class RecordMap {
  /** Nothing is renamed or moved. */
  readonly open: boolean
  private readonly before: Buffer
  private readonly after: Buffer
  private readonly dbs: ReadonlyMap<number, number>
  private readonly back: ReadonlyMap<number, number>

  /** @throws MigrateError FM_CONFIG_INVALID */
  constructor(template: string, dbs: Readonly<Record<string, number>>) {
    const at = template.indexOf(PLACE)
    if (at < 0 || template.indexOf(PLACE, at + 1) >= 0)
      throw new MigrateError(
        'FM_CONFIG_INVALID',
        `the key template "${template.slice(0, 60)}" must hold {key} once`,
        'Write for instance "prefix:{key}".',
      )
    this.before = Buffer.from(template.slice(0, at))
    this.after = Buffer.from(template.slice(at + PLACE.length))
    this.dbs = new Map(Object.entries(dbs).map(([from, to]) => [Number(from), to]))
    this.back = new Map([...this.dbs].map(([from, to]) => [to, from]))
    if (this.back.size < this.dbs.size)
      throw new MigrateError(
        'FM_CONFIG_INVALID',
        'two databases are mapped to one',
        'Keys of the same name would overwrite each other: move them one after the other, with a key template.',
      )
    this.open = template === PLACE && [...this.dbs].every(([from, to]) => from === to)
  }

  /** The record under its new name. Key bytes are copied only where the name changes. */
  map(record: SnapshotRecord): SnapshotRecord {
    const db = this.dbs.get(record.db) ?? record.db
    if (this.before.length + this.after.length > 0) {
      const { key, value, expireAt } = record
      return { db, key: Buffer.concat([this.before, key, this.after]), value, expireAt }
    }
    if (db === record.db) return record
    if (!(record instanceof PackedRecord))
      return { db, key: record.key, value: record.value, expireAt: record.expireAt }
    return new PackedRecord(
      db,
      record.expireAt,
      record.data,
      record.keyStart,
      record.keyEnd,
      record.valueStart,
      record.valueEnd,
      record.type,
      record.rdbVersion,
    )
  }

  /** What a key of the target is called at the source; null when no key of the source comes to be called so. */
  original(db: number, key: Buffer): DirtyKey | null {
    const from = this.back.get(db) ?? (this.dbs.has(db) ? null : db)
    const end = key.length - this.after.length
    const fits =
      end >= this.before.length &&
      key.subarray(0, this.before.length).equals(this.before) &&
      key.subarray(end).equals(this.after)
    return from === null || !fits ? null : { db: from, key: key.subarray(this.before.length, end) }
  }
}

/** The keys of a target that may be this migration's, by their names there. */
export class TargetKeys {
  private readonly filter: RecordFilter
  private readonly map: RecordMap

  constructor(filter: RecordFilter, map: RecordMap) {
    this.filter = filter
    this.map = map
  }

  takesKey(db: number, key: Buffer): boolean {
    if (this.map.open) return this.filter.takesKey(db, key)
    const original = this.map.original(db, key)
    return original !== null && this.filter.takesKey(original.db, original.key)
  }
}
