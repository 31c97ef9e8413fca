/** One row of a file; fields are text. */
export interface Row {
  /** Where it stands, counted from 1. */
  readonly line: number
  /** Undefined where the row has no such field (or null in it). */
  text(field: string): string | undefined
  /** Name and text of every field, flat. */
  flat(nested: 'flatten' | 'json'): string[]
  /** The row as JSON, or as it came. */
  json(): string
}

/** Why a row cannot be used. */
export class RowError extends Error {
  readonly line: number
  /** The row as far as it could be read. */
  readonly row: string

  constructor(line: number, message: string, row: string) {
    super(message)
    this.line = line
    this.row = row
  }
}

/** Rows as they arrive, and those that are none. */
export interface RowPage {
  readonly rows: readonly Row[]
  readonly faults: readonly RowError[]
  readonly byteLength: number
  /** The names of the columns, where rows have the same. */
  readonly columns?: readonly string[]
}
