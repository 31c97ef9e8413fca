import {
  MigrateError,
  type ReadRequest,
  type Shard,
  type SnapshotRecord,
  type SourceEvent,
} from '@ferrite-migrate/contracts'
import { FileFeed } from '@ferrite-migrate/files'
import { FingerprintSet, PackedValues } from '@ferrite-migrate/protocol'
import { type CsvOptions, csvPages } from './csv-reader.js'
import { exportRecord, isExportRow } from './export-row.js'
import { GroupStore } from './group-store.js'
import { JsonPieces } from './json-pieces.js'
import { JsonRow } from './json-row.js'
import { RejectFile } from './reject-file.js'
import { type Row, RowError, type RowPage } from './row.js'
import type { RowMapper } from './row-mapper.js'
import { type Encoding, TextFeed } from './text-feed.js'

export type Format = 'json' | 'ndjson' | 'csv' | 'tsv'

export interface JsonCsvShardOptions {
  readonly path: string
  readonly format: Format
  readonly csv: CsvOptions
  readonly encoding: Encoding
  /** Null = the file must be an export of this tool. */
  readonly mapper: RowMapper | null
  readonly db: number
  readonly onDuplicate: 'last' | 'first' | 'fail'
  readonly onError: 'fail' | 'skip'
  readonly rejects: string
  readonly batchSize: number
}

const PIECES = 1000

/** The rows of one file as records. */
export class JsonCsvShard implements Shard {
  readonly id = '0'
  private readonly options: JsonCsvShardOptions

  constructor(options: JsonCsvShardOptions) {
    this.options = options
  }

  async *read({ signal }: ReadRequest): AsyncGenerator<SourceEvent> {
    const { path, mapper, batchSize } = this.options
    const feed = await FileFeed.open(path)
    const rejects = new RejectFile(this.options.rejects)
    if (this.options.onError !== 'fail') rejects.check()
    const grouped = mapper !== null && !['string', 'hash', 'json'].includes(mapper.type)
    const groups = grouped ? new GroupStore(mapper, this.options.db) : null
    let left = 0
    let taken = 0
    let firstFault: RowError | null = null
    const refuse = (error: RowError): void => {
      left++
      firstFault ??= error
      if (this.options.onError === 'fail')
        throw new MigrateError(
          'FM_IMPORT_ROW',
          `line ${error.line}: ${error.message}`,
          'Correct the row, or leave such rows out by --on-error skip.',
        )
      rejects.add(error)
    }
    try {
      yield {
        kind: 'sync',
        mode: 'full',
        ...(feed.size === null || feed.compression !== 'none' ? {} : { bytes: feed.size }),
      }
      let checked = false
      const batch = new RowBatch(this.options, refuse)
      for await (const page of this.pages(feed, signal)) {
        if (signal.aborted) return
        if (page.columns !== undefined && mapper !== null && !checked) {
          mapper.checkColumns(page.columns)
          checked = true
        }
        for (const fault of page.faults) refuse(fault)
        for (const row of page.rows) {
          try {
            if (groups === null) batch.add(row)
            else groups.add(row)
            taken++
          } catch (error) {
            if (!(error instanceof RowError)) throw error
            refuse(error)
          }
          if (batch.size >= batchSize) yield { kind: 'snapshot', records: batch.take(), byteLength: 0 }
        }
        yield { kind: 'snapshot', records: batch.take(), byteLength: page.byteLength }
      }
      if (taken === 0 && firstFault !== null) throw nothingUsed(left, firstFault)
      let records: SnapshotRecord[] = []
      for (const record of groups?.records() ?? []) {
        if (signal.aborted) return
        // A value in slices comes out of the database itself: alone.
        if (record.value.form === 'sliced') {
          if (records.length > 0) yield { kind: 'snapshot', records, byteLength: 0 }
          records = []
          yield { kind: 'snapshot', records: [record], byteLength: 0 }
          continue
        }
        records.push(record)
        if (records.length < batchSize) continue
        yield { kind: 'snapshot', records, byteLength: 0 }
        records = []
      }
      if (records.length > 0) yield { kind: 'snapshot', records, byteLength: 0 }
      if (left > 0)
        yield {
          kind: 'left-out',
          what: `row that could not be used (see ${this.options.rejects})`,
          count: left,
          examples: [],
        }
      yield { kind: 'snapshot-end' }
    } finally {
      groups?.close()
      rejects.close()
      await feed.close()
    }
  }

  private pages(feed: FileFeed, signal: AbortSignal): AsyncIterable<RowPage> {
    const { format, encoding, csv } = this.options
    const text = new TextFeed(feed, encoding)
    return format === 'csv' || format === 'tsv' ? csvPages(text, csv) : jsonPages(text, format === 'ndjson', signal)
  }
}

/** Where no row at all can be used, the call is wrong and not the rows. */
function nothingUsed(rows: number, { line, message }: RowError): MigrateError {
  return new MigrateError(
    'FM_IMPORT_ROW',
    `none of ${rows} rows could be used; the first, in line ${line}: ${message}`,
    'Look at --key and the other names of fields, and at the layout (--format, --delimiter).',
  )
}

async function* jsonPages(feed: TextFeed, lines: boolean, signal: AbortSignal): AsyncGenerator<RowPage> {
  const pieces = new JsonPieces(lines)
  for (let chunk = await feed.next(); ; chunk = await feed.next()) {
    const found = chunk === null ? pieces.end() : pieces.push(chunk)
    const byteLength = chunk?.length ?? 0
    for (let from = 0; from < found.length || from === 0; from += PIECES) {
      if (signal.aborted) return
      const rows: JsonRow[] = []
      const faults: RowError[] = []
      for (const { line, text } of found.slice(from, from + PIECES))
        try {
          rows.push(new JsonRow(line, text))
        } catch (error) {
          if (!(error instanceof RowError)) throw error
          faults.push(error)
        }
      yield { rows, faults, byteLength: from === 0 ? byteLength : 0 }
    }
    if (chunk === null) return
  }
}

/** Records of rows that are a key each. */
class RowBatch {
  private readonly options: JsonCsvShardOptions
  private readonly refuse: (error: RowError) => void
  private readonly packed = new PackedValues()
  private readonly whole: SnapshotRecord[] = []
  /** Keys of this batch, with their place: of two rows with one key only one may be written. */
  private places = new Map<string, number>()
  private superseded = new Set<number>()
  private readonly seen: FingerprintSet | null

  constructor(options: JsonCsvShardOptions, refuse: (error: RowError) => void) {
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
