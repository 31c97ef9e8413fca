import { isUtf8 } from 'node:buffer'
import { MigrateError, PackedRecord, type SnapshotRecord } from '@ferrite-migrate/contracts'
import { decodeValue, globMatch, isOpaque, keySlot, keyTypeOf, SLOTS } from '@ferrite-migrate/protocol'
import type { FilterConfig } from '../config/config.js'
import { BoundedRegExp } from './bounded-regexp.js'

/** Decides which keys a migration takes. */
export class RecordFilter {
  private readonly include: readonly Buffer[]
  private readonly exclude: readonly Buffer[]
  private readonly includeText: readonly NamePattern[]
  private readonly excludeText: readonly NamePattern[]
  private readonly types: ReadonlySet<string> | null
  private readonly dbs: ReadonlySet<number> | null
  private readonly slots: Uint8Array | null
  private readonly expiry: FilterConfig['expiry']
  private readonly size: { readonly min: number; readonly max: number } | null
  private readonly ttl: { readonly min: number; readonly max: number } | null
  /** Nothing is filtered. */
  readonly open: boolean
  /** Whether a key is taken depends on its value, which a command does not tell. */
  readonly needsValue: boolean

  /** @throws MigrateError FM_CONFIG_INVALID when a pattern cannot be used */
  constructor(config: Partial<FilterConfig>) {
    // Patterns are text of the command line: their bytes are UTF-8, as in redis-cli.
    const globs = (list: readonly string[] | undefined): Buffer[] => (list ?? []).map((glob) => Buffer.from(glob))
    const texts = (list: readonly string[] | undefined): NamePattern[] =>
      (list ?? []).map((pattern) => new NamePattern(pattern))
    const range = (min: number | undefined, max: number | undefined): { min: number; max: number } | null =>
      min === undefined && max === undefined ? null : { min: min ?? 0, max: max ?? Number.POSITIVE_INFINITY }
    this.include = globs(config.include)
    this.exclude = globs(config.exclude)
    this.includeText = texts(config.includeRegex)
    this.excludeText = texts(config.excludeRegex)
    this.types = config.types?.length ? new Set(config.types) : null
    this.dbs = config.dbs?.length ? new Set(config.dbs) : null
    this.slots = config.slots?.length ? slotSet(config.slots) : null
    this.expiry = config.expiry ?? 'any'
    this.size = range(config.minSize, config.maxSize)
    this.ttl = range(config.minTtlMs, config.maxTtlMs)
    this.needsValue = this.types !== null || this.expiry !== 'any' || this.size !== null || this.ttl !== null
    const byName =
      this.include.length + this.exclude.length + this.includeText.length + this.excludeText.length > 0 ||
      this.slots !== null
    this.open = !byName && this.dbs === null && !this.needsValue
  }

  takesDb(db: number): boolean {
    return this.dbs === null || this.dbs.has(db)
  }

  /** By database and name only. */
  takesKey(db: number, data: Buffer, start = 0, end = data.length): boolean {
    if (!this.takesDb(db)) return false
    if (this.slots !== null && this.slots[keySlot(data, start, end)] === 0) return false
    const { include, includeText, exclude, excludeText } = this
    const matches = (pattern: Buffer): boolean => globMatch(pattern, data, start, end)
    const fits = (pattern: NamePattern): boolean => pattern.matches(data, start, end)
    if (include.length + includeText.length > 0 && !include.some(matches) && !includeText.some(fits)) return false
    return !exclude.some(matches) && !excludeText.some(fits)
  }

  takes(record: SnapshotRecord): boolean {
    if (this.open) return true
    const packed = record instanceof PackedRecord
    if (this.expiry !== 'any' && record.expireAt > 0 !== (this.expiry === 'expiring')) return false
    if (this.ttl !== null) {
      const left = record.expireAt === 0 ? Number.POSITIVE_INFINITY : record.expireAt - Date.now()
      if (left < this.ttl.min || left > this.ttl.max) return false
    }
    if (this.types !== null) {
      const value = packed ? null : record.value
      const type = packed
        ? keyTypeOf(record.type, record.rdbVersion)
        : value!.form === 'rdb'
          ? keyTypeOf(value!.type, value!.rdbVersion)
          : value!.type
      if (type === undefined || !this.types.has(type)) return false
    }
    if (this.size !== null) {
      const bytes = sizeOf(record)
      if (bytes < this.size.min || bytes > this.size.max) return false
    }
    return packed
      ? this.takesKey(record.db, record.keyData, record.keyStart, record.keyEnd)
      : this.takesKey(record.db, record.key)
  }

  /** True when sizes are looked at: values must then be whole. */
  get needsSize(): boolean {
    return this.size !== null
  }
}

/** Bytes of all strings of a value, the same however it is encoded. A value in slices is larger than any limit. */
function sizeOf({ value }: SnapshotRecord): number {
  if (value.form === 'sliced') return Number.POSITIVE_INFINITY
  if (value.form === 'rdb' && isOpaque(value.type, value.rdbVersion)) return value.body.length
  const decoded = value.form === 'rdb' ? decodeValue(value.type, value.body, value.rdbVersion) : value
  let bytes = 0
  if (decoded.form === 'items') for (const item of decoded.items) bytes += item.length
  else for (const { fields } of decoded.entries) for (const field of fields) bytes += field.length
  return bytes
}

/** A regular expression for names that are bytes: UTF-8 names as text, others byte by byte. */
class NamePattern {
  private readonly text: BoundedRegExp
  private readonly binary: BoundedRegExp

  constructor(pattern: string) {
    try {
      this.text = new BoundedRegExp(pattern)
      this.binary = new BoundedRegExp(Buffer.from(pattern).toString('latin1'))
    } catch (error) {
      const { message, hint } = error as MigrateError
      throw new MigrateError('FM_CONFIG_INVALID', message, hint, { cause: error })
    }
  }

  matches(data: Buffer, start: number, end: number): boolean {
    const name = data.subarray(start, end)
    return isUtf8(name) ? this.text.test(name.toString('utf8')) : this.binary.test(name.toString('latin1'))
  }
}

function slotSet(ranges: readonly string[]): Uint8Array {
  const slots = new Uint8Array(SLOTS)
  for (const range of ranges) {
    const [from, to = from] = range.split('-').map(Number)
    if (from > to || to >= SLOTS)
      throw new MigrateError('FM_CONFIG_INVALID', `"${range}" is no range of slots`, `Slots go from 0 to ${SLOTS - 1}.`)
    slots.fill(1, from, to + 1)
  }
  return slots
}
