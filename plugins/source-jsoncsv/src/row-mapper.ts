import { MigrateError } from '@ferrite-migrate/contracts'
import { type Row, RowError } from './row.js'
import { Template } from './template.js'

export type RowType = 'string' | 'hash' | 'list' | 'set' | 'zset' | 'stream' | 'json'

export interface RowMapperOptions {
  readonly key: string
  readonly type: RowType
  readonly value: string | undefined
  readonly member: string | undefined
  readonly score: string | undefined
  readonly id: string | undefined
  readonly ttlMs: number
  readonly ttlField: string | undefined
  readonly nested: 'flatten' | 'json'
}

const TEN_YEARS_S = 315_360_000
const MS_FROM = 100_000_000_000

/** What a row becomes: its key, its part of the value, and its end. */
export class RowMapper {
  readonly type: RowType
  private readonly options: RowMapperOptions
  private readonly keyOf: Template
  private readonly valueOf: Template | null
  private readonly memberOf: Template | null
  /** Times to live count from here, however often the file is read. */
  private readonly now = Date.now()

  /** @throws MigrateError FM_CONFIG_INVALID */
  constructor(options: RowMapperOptions) {
    this.options = options
    this.type = options.type
    this.keyOf = new Template(options.key, 'key', false)
    this.valueOf = options.value === undefined ? null : new Template(options.value, 'value', true)
    this.memberOf = options.member === undefined ? null : new Template(options.member, 'member', true)
    const needs = (option: string, given: unknown): void => {
      if (given !== undefined && given !== null) return
      throw new MigrateError(
        'FM_CONFIG_INVALID',
        `--type ${options.type} needs --${option}`,
        `Name a field of the rows, for instance --${option} name.`,
      )
    }
    if (options.type === 'set' || options.type === 'zset') needs('member', options.member ?? options.value)
    if (options.type === 'zset') needs('score', options.score)
  }

  /** The rows of one key are parts of one value. */
  get grouped(): boolean {
    return !['string', 'hash', 'json'].includes(this.type)
  }

  /**
   * A field that no row can have is a mistake in the call, not of each row.
   * @throws MigrateError FM_CONFIG_INVALID
   */
  checkColumns(columns: readonly string[]): void {
    const { score, id, ttlField } = this.options
    const named = [
      ...this.keyOf.fields,
      ...(this.valueOf?.fields ?? []),
      ...(this.memberOf?.fields ?? []),
      ...[score, id, ttlField].filter((field) => field !== undefined),
    ]
    const unknown = named.find((field) => !columns.includes(field))
    if (unknown !== undefined)
      throw new MigrateError(
        'FM_CONFIG_INVALID',
        `no column is called "${unknown.slice(0, 60)}"`,
        `There are: ${columns.slice(0, 40).join(', ').slice(0, 400)}.`,
      )
  }

  key(row: Row): string {
    return this.keyOf.fill(row)
  }

  /** The value of a string, or an element of a list. */
  value(row: Row): string {
    return this.type === 'json' || this.valueOf === null ? row.json() : this.valueOf.fill(row)
  }

  member(row: Row): string {
    return (this.memberOf ?? this.valueOf)!.fill(row)
  }

  /** @throws RowError */
  score(row: Row): string {
    const text = row.text(this.options.score!)?.trim()
    if (text === undefined || text === '' || !Number.isFinite(Number(text))) {
      if (/^[+-]?inf(inity)?$/i.test(text ?? '')) return text!.startsWith('-') ? '-inf' : 'inf'
      throw new RowError(row.line, `its ${this.options.score} is no number`, row.json())
    }
    return String(Number(text))
  }

  /** Field, value, field, value. @throws RowError when there is none */
  fields(row: Row): string[] {
    const fields = row.flat(this.options.nested)
    const twice = sameName(fields)
    if (twice !== null)
      throw new RowError(
        row.line,
        `two of its fields come to be called "${twice.slice(0, 60)}": --nested json keeps them apart`,
        row.json(),
      )
    if (fields.length === 0) throw new RowError(row.line, 'it has no fields', row.json())
    return fields
  }

  /** The id of a stream entry. @throws RowError */
  id(row: Row, number: number): string {
    const { id } = this.options
    if (id === undefined) return `${number}-0`
    const text = row.text(id)?.trim() ?? ''
    if (/^\d{1,20}(-\d{1,20})?$/.test(text)) return text.includes('-') ? text : `${text}-0`
    throw new RowError(row.line, `its ${id} is no id of a stream entry`, row.json())
  }

  /** Absolute ms, 0 = never. @throws RowError */
  expireAt(row: Row): number {
    const { ttlMs, ttlField } = this.options
    if (ttlField === undefined) return ttlMs === 0 ? 0 : this.now + ttlMs
    const text = row.text(ttlField)?.trim()
    if (text === undefined || text === '') return ttlMs === 0 ? 0 : this.now + ttlMs
    const number = Number(text)
    if (Number.isFinite(number)) {
      if (number <= 0) throw new RowError(row.line, `its ${ttlField} is no time to live`, row.json())
      if (number < TEN_YEARS_S) return this.now + Math.round(number * 1000)
      return Math.round(number < MS_FROM ? number * 1000 : number)
    }
    const date = Date.parse(text)
    if (Number.isNaN(date)) throw new RowError(row.line, `its ${ttlField} is no time`, row.json())
    // Zero means for ever: a time before 1970 is over all the same.
    return Math.max(1, date)
  }
}

/** A name that stands twice in a list of names and values; null = all differ. Only flattened names can meet. */
function sameName(fields: readonly string[]): string | null {
  let dotted = false
  for (let i = 0; i < fields.length && !dotted; i += 2) dotted = fields[i].includes('.')
  if (!dotted) return null
  const names = new Set<string>()
  for (let i = 0; i < fields.length; i += 2) {
    if (names.has(fields[i])) return fields[i]
    names.add(fields[i])
  }
  return null
}
