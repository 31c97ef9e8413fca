import { type Row, RowError } from './row.js'

/** A number of more digits than a double holds. */
const LONG_NUMBER = /[\d.]{16}/

/** An escape that may be half a character. */
const SURROGATE = /\\u[dD][89a-fA-F]/

function wellFormed(value: unknown): boolean {
  if (typeof value === 'string') return value.isWellFormed()
  if (typeof value !== 'object' || value === null || value instanceof Exact) return true
  return Object.entries(value).every(([name, part]) => name.isWellFormed() && wellFormed(part))
}

/** One JSON object. Numbers keep every digit. */
export class JsonRow implements Row {
  readonly line: number
  private readonly source: string
  private readonly object: Readonly<Record<string, unknown>>

  /** @throws RowError */
  constructor(line: number, source: string) {
    this.line = line
    this.source = source
    this.object = parseObject(line, source)
    if (SURROGATE.test(source) && !wellFormed(this.object))
      throw new RowError(line, 'it has a character that is none (a lone surrogate)', source)
  }

  /** The parsed row. */
  get value(): Readonly<Record<string, unknown>> {
    return this.object
  }

  text(field: string): string | undefined {
    let value = this.object[field]
    if (value === undefined && field.includes('.'))
      value = field
        .split('.')
        .reduce<unknown>((object, name) => (object as Record<string, unknown> | null)?.[name], this.object)
    return value === undefined || value === null ? undefined : textOf(value)
  }

  flat(nested: 'flatten' | 'json'): string[] {
    const out: string[] = []
    for (const name of Object.keys(this.object)) add(out, name, this.object[name], nested)
    return out
  }

  json(): string {
    return this.source
  }
}

function add(out: string[], name: string, value: unknown, nested: 'flatten' | 'json'): void {
  if (value === null || value === undefined) return
  if (nested === 'flatten' && typeof value === 'object' && !(value instanceof Exact)) {
    for (const part of Object.keys(value)) add(out, `${name}.${part}`, (value as Record<string, unknown>)[part], nested)
    return
  }
  out.push(name, textOf(value))
}

/** A number by its digits. */
class Exact {
  readonly digits: string

  constructor(digits: string) {
    this.digits = digits
  }
}

function textOf(value: unknown): string {
  if (typeof value === 'string') return value
  if (value instanceof Exact) return value.digits
  return typeof value === 'object' ? jsonOf(value) : String(value)
}

function jsonOf(value: unknown): string {
  if (value instanceof Exact) return value.digits
  if (Array.isArray(value)) return `[${value.map(jsonOf).join(',')}]`
  if (typeof value === 'object' && value !== null)
    return `{${Object.keys(value)
      .map((name) => `${JSON.stringify(name)}:${jsonOf((value as Record<string, unknown>)[name])}`)
      .join(',')}}`
  return JSON.stringify(value)
}

const exact = (_: string, value: unknown, context?: { source?: string }): unknown =>
  typeof value === 'number' && context?.source !== undefined && String(value) !== context.source
    ? new Exact(context.source)
    : value

function parseObject(line: number, source: string): Readonly<Record<string, unknown>> {
  let value: unknown
  try {
    value = LONG_NUMBER.test(source)
      ? JSON.parse(source, exact as Parameters<typeof JSON.parse>[1])
      : JSON.parse(source)
  } catch (error) {
    throw new RowError(line, `it is no JSON (${(error as Error).message})`, source)
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value) || value instanceof Exact)
    throw new RowError(line, 'it is no JSON object', source)
  return value as Readonly<Record<string, unknown>>
}
