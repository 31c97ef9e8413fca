import { PackedRecord, type SnapshotRecord } from '@ferrite-migrate/contracts'
import { globMatch, keyTypeOf } from '@ferrite-migrate/protocol'
import type { FilterConfig } from './config.js'

/** Decides which keys a migration takes. */
export class RecordFilter {
  private readonly include: Buffer[]
  private readonly exclude: Buffer[]
  private readonly types: ReadonlySet<string> | null
  private readonly dbs: ReadonlySet<number> | null
  private readonly expiry: FilterConfig['expiry']
  /** Nothing is filtered. */
  readonly open: boolean
  /** Whether a key is taken depends on its value, which a command does not tell. */
  readonly needsValue: boolean

  constructor(config: FilterConfig) {
    // Patterns are text of the command line: their bytes are UTF-8, as in redis-cli.
    this.include = config.include.map((pattern) => Buffer.from(pattern))
    this.exclude = config.exclude.map((pattern) => Buffer.from(pattern))
    this.types = config.types.length > 0 ? new Set(config.types) : null
    this.dbs = config.dbs.length > 0 ? new Set(config.dbs) : null
    this.expiry = config.expiry
    this.needsValue = this.types !== null || this.expiry !== 'any'
    this.open = this.include.length === 0 && this.exclude.length === 0 && this.dbs === null && !this.needsValue
  }

  takesDb(db: number): boolean {
    return this.dbs === null || this.dbs.has(db)
  }

  /** By database and name only. */
  takesKey(db: number, data: Buffer, start = 0, end = data.length): boolean {
    if (!this.takesDb(db)) return false
    if (this.include.length > 0 && !this.include.some((pattern) => globMatch(pattern, data, start, end))) return false
    return !this.exclude.some((pattern) => globMatch(pattern, data, start, end))
  }

  takes(record: SnapshotRecord): boolean {
    if (this.open) return true
    const packed = record instanceof PackedRecord
    if (this.expiry !== 'any' && record.expireAt > 0 !== (this.expiry === 'expiring')) return false
    if (this.types !== null) {
      const value = packed ? null : record.value
      const type = packed
        ? keyTypeOf(record.type, record.rdbVersion)
        : value!.form === 'rdb'
          ? keyTypeOf(value!.type, value!.rdbVersion)
          : value!.type
      if (type === undefined || !this.types.has(type)) return false
    }
    return packed
      ? this.takesKey(record.db, record.data, record.keyStart, record.keyEnd)
      : this.takesKey(record.db, record.key)
  }
}
