import { Readable } from 'node:stream'
import { MigrateError } from '@ferrite-migrate/contracts'
import { type CsvError, type Options, parse } from 'csv-parse'
import { Columns, CsvRow } from './csv-row.js'
import { RowError, type RowPage } from './row.js'
import type { TextFeed } from './text-feed.js'

export interface CsvOptions {
  /** Undefined = found by itself. */
  readonly delimiter: string | undefined
  readonly header: 'auto' | 'yes' | 'no'
  readonly columns: readonly string[] | null
  /** Leave out rows that cannot be read, instead of ending at the first. */
  readonly skips: boolean
}

const PAGE = 1000
const DELIMITERS = [',', ';', '\t', '|'] as const
const MOST_ROW = 64 << 20

/** The rows of a CSV or TSV, by csv-parse. @throws MigrateError FM_IMPORT_FORMAT, FM_IMPORT_ENCODING */
export async function* csvPages(feed: TextFeed, options: CsvOptions): AsyncGenerator<RowPage> {
  let first = await feed.next()
  if (first === null) return
  first = Buffer.from(first)
  const delimiter = options.delimiter ?? likelyDelimiter(first)
  let bytes = first.length
  const chunks = async function* (): AsyncGenerator<Buffer> {
    yield first!
    for (let chunk = await feed.next(); chunk !== null; chunk = await feed.next()) {
      bytes += chunk.length
      // The feed uses its memory again, the parser may still hold it.
      yield Buffer.from(chunk)
    }
  }
  let faults: RowError[] = []
  const lines: number[] = []
  const settings: Options & { readableHighWaterMark: number } = {
    delimiter,
    max_record_size: MOST_ROW,
    skip_empty_lines: true,
    skip_records_with_error: options.skips,
    readableHighWaterMark: PAGE,
    on_record: (cells: string[], { lines: line }: { lines: number }) => {
      lines.push(line)
      return cells
    },
    on_skip: (error: CsvError | undefined, raw: string | undefined) =>
      void faults.push(
        new RowError(Number((error as { lines?: number })?.lines ?? 0), error?.message ?? '', raw ?? ''),
      ),
  }
  const parser = parse(settings)
  const source = Readable.from(chunks(), { objectMode: true })
  source.once('error', (error) => parser.destroy(error))
  source.pipe(parser)
  let columns: Columns | null = options.columns === null ? null : new Columns(checked(options.columns))
  let rows: CsvRow[] = []
  let told = 0
  let place = 0
  const page = (): RowPage => {
    const made = { rows, faults, byteLength: bytes - told }
    told = bytes
    rows = []
    faults = []
    return made
  }
  try {
    for await (const cells of parser as AsyncIterable<string[]>) {
      const line = lines[place++]
      if (place === 4096) {
        lines.splice(0, place)
        place = 0
      }
      if (columns === null) {
        const named = options.header === 'yes' || (options.header === 'auto' && looksLikeHeader(cells))
        columns = new Columns(named ? checked(cells) : cells.map((_, i) => `column${i + 1}`))
        if (named) continue
      }
      if (cells.length !== columns.names.length)
        faults.push(
          new RowError(
            line,
            `it has ${cells.length} fields, and ${columns.names.length} are named`,
            cells.join(delimiter),
          ),
        )
      else rows.push(new CsvRow(line, columns, cells))
      if (rows.length + faults.length >= PAGE) yield page()
    }
  } catch (error) {
    if (error instanceof MigrateError) throw error
    const { message, lines: line } = error as CsvError & { lines?: number }
    throw new MigrateError(
      'FM_IMPORT_ROW',
      `line ${line ?? '?'}: ${message}`,
      'Correct the row, or leave such rows out by --on-error skip.',
      { cause: error },
    )
  } finally {
    parser.destroy()
    source.destroy()
  }
  if (rows.length + faults.length > 0) yield page()
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
