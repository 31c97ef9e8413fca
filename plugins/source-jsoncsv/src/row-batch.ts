import { MigrateError, type SnapshotRecord } from '@ferrite-migrate/contracts'
import { FingerprintSet, PackedValues } from '@ferrite-migrate/protocol'
import { exportRecord, isExportRow } from './export-row.js'
import { JsonRow } from './json-row.js'
import { type Row, RowError } from './row.js'
import type { RowMapper } from './row-mapper.js'

export interface RowBatchOptions {
  /** Null = the file must be an export of this tool. */
  readonly mapper: RowMapper | null
  readonly db: number
  readonly onDuplicate: 'last' | 'first' | 'fail'
}

/** Records of rows that are a key each. */
export class RowBatch {
  private readonly options: RowBatchOptions
  private readonly refuse: (error: RowError) => void
  private readonly packed = new PackedValues()
  private readonly whole: SnapshotRecord[] = []
  /** Keys of this batch, with their place: of two rows with one key only one may be written. */
  private places = new Map<string, number>()
  private superseded = new Set<number>()
  private readonly seen: FingerprintSet | null

  constructor(options: RowBatchOptions, refuse: (error: RowError) => void) {
    this.options = options
    this.refuse = refuse
    this.seen = options.onDuplicate === 'last' ? null : new FingerprintSet()
  }

  get size(): number {
    return this.packed.size + this.whole.length
  }

  /** @throws RowError */
  add(row: Row): void {
    const { mapper, db } = this.options
    if (mapper === null) {
      if (!(row instanceof JsonRow) || !isExportRow(row))
        throw new MigrateError(
          'FM_CONFIG_INVALID',
          '--key is missing, and the file is no export of this tool',
          "Say what a row's key is called, for instance --key 'user:{id}'.",
        )
      this.whole.push(exportRecord(row))
      return
    }
    const key = mapper.key(row)
    if (this.seen !== null) {
      const bytes = Buffer.from(key)
      if (this.seen.has(db, bytes)) {
        if (this.options.onDuplicate === 'first') return
        this.refuse(new RowError(row.line, `the key ${key.slice(0, 100)} came before`, row.json()))
        return
      }
      this.seen.add(db, bytes)
    }
    const expireAt = mapper.expireAt(row)
    if (mapper.type === 'hash') this.packed.addHash(db, key, mapper.fields(row), expireAt)
    else this.packed.addText(db, key, mapper.value(row), expireAt)
    const place = this.packed.size - 1
    const former = this.places.get(key)
    if (former !== undefined) this.superseded.add(former)
    this.places.set(key, place)
  }

  take(): SnapshotRecord[] {
    if (this.whole.length > 0) return this.whole.splice(0)
    const { superseded } = this
    const records: SnapshotRecord[] = this.packed.take()
    this.places = new Map()
    if (superseded.size === 0) return records
    this.superseded = new Set()
    return records.filter((_, i) => !superseded.has(i))
  }
}
