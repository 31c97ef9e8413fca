import { MigrateError } from '@ferrite-migrate/contracts'
import { type CsvError, Parser } from 'csv-parse'
import { Columns, CsvRow } from './csv-row.js'
import { PlainRows, type TakenRows } from './plain-rows.js'
import { RowError, type RowPage } from './row.js'
import type { TextFeed } from './text-feed.js'

export interface CsvOptions {
  /** Undefined = found by itself. */
  readonly delimiter: string | undefined
  readonly header: 'auto' | 'yes' | 'no'
  readonly columns: readonly string[] | null
  /** Leave out rows that cannot be read, instead of ending at the first. */
  readonly skips: boolean
  readonly quote: string | undefined
  readonly escape: string | undefined
}

const DELIMITERS = [',', ';', '\t', '|'] as const
const MOST_ROW = 64 << 20
/** Longer rows are for the parser, which does not begin them anew with each piece that comes. */
const MOST_PLAIN_ROW = 1 << 20

/** The rows of a CSV or TSV. @throws MigrateError FM_IMPORT_FORMAT, FM_IMPORT_ENCODING */
export async function* csvPages(feed: TextFeed, options: CsvOptions): AsyncGenerator<RowPage> {
  const start = await feed.next()
  if (start === null) return
  // Excel's first line, which tells the delimiter and is no row.
  const told = /^sep=(.)\r?\n/.exec(start.toString('latin1', 0, 16))
  const first = told === null ? start : start.subarray(told[0].length)
  const before = told === null ? 0 : 1
  const delimiter = options.delimiter ?? told?.[1] ?? likelyDelimiter(first)
  const faults: RowError[] = []
  const rowsOf = new RowReader(delimiter, options, (error, raw, lines) =>
    faults.push(new RowError(lines + before, error?.message ?? '', textOf(error, raw, delimiter))),
  )
  let columns: Columns | null = options.columns === null ? null : new Columns(checked(options.columns))
  try {
    for (let chunk: Buffer | null = first; ; chunk = await feed.next()) {
      const { records, lines, error } = await rowsOf.take(chunk)
      const rows: CsvRow[] = []
      for (const [i, cells] of records.entries()) {
        if (columns === null) {
          const named = options.header === 'yes' || (options.header === 'auto' && looksLikeHeader(cells))
          columns = new Columns(named ? checked(cells) : cells.map((_, i) => `column${i + 1}`))
          if (named) continue
        }
        if (cells.length === columns.names.length) rows.push(new CsvRow(lines[i] + before, columns, cells))
        else
          faults.push(
            new RowError(
              lines[i] + before,
              `it has ${cells.length} fields, and ${columns.names.length} are named`,
              cells.join(delimiter),
            ),
          )
      }
      faults.sort((a, b) => a.line - b.line)
      const [fault] = faults
      if (fault !== undefined && !options.skips) throw unreadable(fault)
      yield {
        rows,
        faults: faults.splice(0),
        byteLength: chunk?.length ?? 0,
        ...(columns === null ? {} : { columns: columns.names }),
      }
      if (error !== null) throw unreadable(error)
      if (chunk === null) return
    }
  } finally {
    rowsOf.close()
  }
}

/** Rows by ourselves for as long as they are plain, by csv-parse from the first one on that is not. */
class RowReader {
  private readonly plain: PlainRows | null
  private readonly delimiter: string
  private readonly options: CsvOptions
  private readonly skipped: (error: CsvError | undefined, raw: string | undefined, line: number) => void
  private parser: RowParser | null = null

  constructor(delimiter: string, options: CsvOptions, skipped: RowReader['skipped']) {
    const isPlain = options.quote === undefined && options.escape === undefined && /^[^"\r\n]$/.test(delimiter)
    this.plain = isPlain ? new PlainRows(delimiter, MOST_PLAIN_ROW) : null
    this.delimiter = delimiter
    this.options = options
    this.skipped = skipped
  }

  /** @param chunk whole letters of UTF-8; null = the end. What is read before an error is given with it. */
  async take(chunk: Buffer | null): Promise<TakenRows & { readonly error: CsvError | null }> {
    const { plain, parser } = this
    if (plain === null || parser !== null) return this.parse(chunk)
    const taken = plain.take(chunk?.toString('utf8') ?? '', chunk === null)
    if (plain.strange === null) return { ...taken, error: null }
    let parsed = await this.parse(Buffer.from(plain.strange))
    taken.records.push(...parsed.records)
    taken.lines.push(...parsed.lines)
    if (parsed.error === null && chunk === null) {
      parsed = await this.parse(null)
      taken.records.push(...parsed.records)
      taken.lines.push(...parsed.lines)
    }
    return { ...taken, error: parsed.error }
  }

  close(): void {
    this.parser?.destroy()
  }

  private async parse(chunk: Buffer | null): Promise<TakenRows & { readonly error: CsvError | null }> {
    this.parser ??= this.open()
    const { parser } = this
    const error = await new Promise<Error | null | undefined>((resolve) => {
      // The feed uses its memory again, the parser still holds it.
      if (chunk === null) parser.end((cause?: Error | null) => resolve(cause))
      else parser.write(Buffer.from(chunk), resolve)
    })
    return { ...parser.takeRows(), error: error ? (error as CsvError) : null }
  }

  private open(): RowParser {
    const { delimiter, plain, options } = this
    const { quote, skips } = options
    const parser = new RowParser({
      delimiter,
      max_record_size: MOST_ROW,
      // A row of too many or too few fields is told with its text.
      relax_column_count: true,
      ...(plain?.lineEnd ? { record_delimiter: plain.lineEnd } : {}),
      ...(quote === undefined ? {} : { quote }),
      // The parser's own default is the double quote, whatever the quote is.
      ...(options.escape === undefined && quote === undefined ? {} : { escape: options.escape ?? quote }),
      skip_empty_lines: true,
      skip_records_with_error: skips,
      on_skip: (error: CsvError | undefined, raw: string | undefined) =>
        void this.skipped(error, raw, Number((error as { lines?: number })?.lines ?? 0)),
    })
    // What it tells of lines is of the whole text.
    Object.assign(parser.info, { lines: plain?.line ?? 1 })
    parser.on('error', () => undefined)
    parser.resume()
    return parser
  }
}

/** Gathers the rows: to be read one by one from a stream costs them as much as to be parsed. */
class RowParser extends Parser {
  private records: string[][] = []
  private lines: number[] = []

  override push(cells: string[] | null): boolean {
    if (cells === null) return super.push(null)
    this.records.push(cells)
    this.lines.push(this.info.lines)
    return true
  }

  takeRows(): TakenRows {
    const { records, lines } = this
    this.records = []
    this.lines = []
    return { records, lines }
  }
}

/** What can be told of a row that could not be read. */
function textOf(error: CsvError | undefined, raw: string | undefined, delimiter: string): string {
  const { record } = (error ?? {}) as { record?: unknown }
  if (raw !== undefined && raw !== '') return raw
  return Array.isArray(record) && record.length > 0 ? record.join(delimiter) : '(its text is not known)'
}

function unreadable(error: (CsvError & { lines?: number }) | RowError): MigrateError {
  return new MigrateError(
    'FM_IMPORT_ROW',
    `line ${(error instanceof RowError ? error.line : error.lines) ?? '?'}: ${error.message}`,
    'Correct the row, or leave such rows out by --on-error skip.',
    { cause: error },
  )
}

/** The one that parts the first lines into the most fields, the same number in each. */
function likelyDelimiter(head: Buffer): string {
  const lines = head
    .toString('utf8', 0, Math.min(head.length, 64 << 10))
    .replace(/"(?:[^"]|"")*"/g, '')
    .split(/\r?\n/)
    .slice(0, 10)
    .filter((line) => line !== '')
  let best = ','
  let most = 0
  for (const delimiter of DELIMITERS) {
    const counts = lines.map((line) => line.split(delimiter).length - 1)
    const least = Math.min(...counts)
    const steady = counts.every((count) => count === counts[0])
    const score = least * (steady ? 2 : 1)
    if (score > most) {
      most = score
      best = delimiter
    }
  }
  return best
}

/** Names are distinct, not empty, and no numbers. */
function looksLikeHeader(cells: readonly string[]): boolean {
  return (
    new Set(cells).size === cells.length && cells.every((cell) => cell.trim() !== '' && !/^[-+]?[\d.,]+$/.test(cell))
  )
}

function checked(names: readonly string[]): readonly string[] {
  const trimmed = names.map((name) => name.trim())
  const twice = trimmed.find((name, i) => trimmed.indexOf(name) !== i)
  if (twice !== undefined)
    throw new MigrateError(
      'FM_IMPORT_FORMAT',
      `two columns are called "${twice.slice(0, 60)}"`,
      'Name them by --columns.',
    )
  return trimmed
}
