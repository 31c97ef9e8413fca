import {
  type AdapterContext,
  type DirtyKey,
  type KeyReader,
  MigrateError,
  type SnapshotRecord,
  type Source,
  type SourceEvent,
} from '@ferrite-migrate/contracts'
import {
  eachEvent,
  openTransform,
  RecordFilter,
  type RecordTransform,
  type Registry,
  type ResolvedConfig,
  sourceFilter,
  wholeValue,
} from '@ferrite-migrate/core'
import { FingerprintSet } from '@ferrite-migrate/protocol'
import { ByteSink } from './byte-sink.js'
import { CsvWriter } from './csv-writer.js'
import type { CreateWriter, ExportWriter } from './export-writer.js'
import { NdjsonWriter } from './ndjson-writer.js'
import { RdbExport } from './rdb-export.js'
import { RespExport } from './resp-export.js'

export type ExportFormat = 'ndjson' | 'csv' | 'resp' | 'rdb'

export interface ExportOptions {
  readonly config: ResolvedConfig
  readonly registry: Registry
  readonly context: Omit<AdapterContext, 'url' | 'options'>
  /** A path, or - for standard output. */
  readonly output: string
  readonly format: ExportFormat
  onProgress?(keys: number, total: number | null): void
}

export interface ExportReport {
  readonly output: string
  readonly format: ExportFormat
  readonly keys: number
  /** Before compression. */
  readonly bytes: number
  /** What the layout has no place for, by kind. */
  readonly leftOut: Readonly<Record<string, number>>
}

/** Values stay as they are, however large: an RDB holds them raw. */
const OFFERED = { inspect: 'false', 'slice-limit': '4gb' }

const WRITERS: Record<ExportFormat, CreateWriter> = {
  ndjson: (sink) => new NdjsonWriter(sink),
  csv: (sink) => new CsvWriter(sink),
  resp: (sink) => new RespExport(sink),
  rdb: (sink) => new RdbExport(sink),
}

/** The layout by a file's name, compressed or not; null = its name does not tell. */
export function exportFormatOf(path: string): ExportFormat | null {
  const name = path.toLowerCase().replace(/\.(gz|zstd?)$/, '')
  if (/\.(ndjson|jsonl)$/.test(name)) return 'ndjson'
  if (name.endsWith('.csv')) return 'csv'
  if (/\.(resp|aof)$/.test(name)) return 'resp'
  return name.endsWith('.rdb') ? 'rdb' : null
}

/**
 * Writes a snapshot of a source to a file, which is there when it is whole. Filters and transforms are those of a migration.
 * @throws MigrateError FM_EXPORT_VALUE, FM_EXPORT_BROKEN, FM_FILE_UNWRITABLE, whatever the source throws
 */
export async function runExport(options: ExportOptions): Promise<ExportReport> {
  const { config, registry, context } = options
  const transform = await openTransform(config, registry, context)
  try {
    await using source = await registry.source(config.source, OFFERED, config.sourceOptions, context)
    const run = new ExportRun(options, transform, new RecordFilter(sourceFilter(config.filter, source)), source)
    try {
      // Its snapshot is what was there before the first of the commands.
      if ((source.commands?.size ?? 0) > 0) throw noValues()
      await eachEvent(source, context.signal, (shard, event) => run.take(shard, event))
      if (context.signal.aborted) run.drop()
      else await run.end()
      return run.report()
    } catch (error) {
      run.drop()
      throw error
    } finally {
      await run.close()
    }
  } finally {
    await transform.close()
  }
}

/** An export under way. */
class ExportRun {
  private readonly options: ExportOptions
  private readonly transform: RecordTransform
  private readonly filter: RecordFilter
  private readonly source: Source
  private readonly sink: ByteSink
  private readonly writer: ExportWriter
  /** What is written, where keys go from shard to shard: a key may come from both, or from neither and be named afterwards. */
  private readonly written: FingerprintSet | null
  private readonly begunShards = new Set<string>()
  private readonly leftOut: Record<string, number> = {}
  private reader: KeyReader | null = null
  private begun = false
  private keys = 0
  /** Null until the source has told of any. */
  private total: number | null = null

  constructor(options: ExportOptions, transform: RecordTransform, filter: RecordFilter, source: Source) {
    this.options = options
    this.transform = transform
    this.filter = filter
    this.source = source
    this.written = source.capabilities.together === true ? new FingerprintSet() : null
    this.sink = new ByteSink(options.output)
    this.writer = WRITERS[options.format](this.sink)
  }

  /** @throws MigrateError FM_EXPORT_VALUE, FM_EXPORT_BROKEN, FM_FILE_UNWRITABLE */
  async take(shard: string, event: SourceEvent): Promise<void> {
    switch (event.kind) {
      case 'sync':
        this.beginShard(shard)
        if (event.keys !== undefined) this.total = (this.total ?? 0) + event.keys
        if (event.rdbVersion !== undefined) this.begin(event.rdbVersion)
        break
      case 'snapshot':
        await this.records(event.records)
        event.release?.()
        this.options.onProgress?.(this.keys, this.total)
        break
      case 'changes':
        event.release?.()
        throw noValues()
      case 'dirty':
        await this.keysNamed(event.keys)
        break
      case 'aside':
        if (event.what !== 'function' || !this.writer.library(event.payload)) this.leaveOut(event.what, 1)
        break
      case 'left-out':
        this.leaveOut(event.what, event.count)
        break
    }
  }

  async end(): Promise<void> {
    this.begin(undefined)
    this.writer.end()
    await this.sink.end()
  }

  async close(): Promise<void> {
    await this.reader?.close()
  }

  drop(): void {
    this.sink.drop()
  }

  report(): ExportReport {
    const { output, format } = this.options
    return { output, format, keys: this.keys, bytes: this.sink.byteLength, leftOut: this.leftOut }
  }

  /** What was read before is void then; it is written already. */
  private beginShard(shard: string): void {
    if (this.begunShards.has(shard) && this.written === null)
      throw new MigrateError(
        'FM_EXPORT_BROKEN',
        'the source was lost and began anew in the middle of the export',
        'Export again, or raise client-output-buffer-limit replica at the source.',
        { retryable: true },
      )
    this.begunShards.add(shard)
  }

  /** Keys that no snapshot may have had. */
  private async keysNamed(keys: readonly DirtyKey[]): Promise<void> {
    const missing = keys.filter(({ db, key }) => this.written?.has(db, key) === false)
    if (missing.length === 0 || this.source.reader === undefined) return
    this.reader ??= this.source.reader()
    for (const [db, some] of Map.groupBy(missing, (one) => one.db)) {
      const read = await this.reader.read(
        db,
        some.map(({ key }) => key),
        true,
      )
      await this.records(read.filter((record) => record !== null))
    }
  }

  private begin(version: number | undefined): void {
    if (!this.begun) this.writer.begin(version)
    this.begun = true
  }

  private isFirst({ db, key }: SnapshotRecord): boolean {
    if (this.written === null) return true
    if (this.written.has(db, key)) return false
    this.written.add(db, key)
    return true
  }

  private leaveOut(what: string, count: number): void {
    this.leftOut[what] = (this.leftOut[what] ?? 0) + count
  }

  private async records(records: readonly SnapshotRecord[]): Promise<void> {
    const now = Date.now()
    const taken = records.filter(
      (record) => this.filter.takes(record) && (record.expireAt === 0 || record.expireAt > now) && this.isFirst(record),
    )
    const whole: SnapshotRecord[] = []
    for (const record of taken)
      whole.push(record.value.form === 'sliced' ? { ...record, value: await wholeValue(record.value) } : record)
    for (const record of await this.transform.records(whole)) {
      this.begin(record.value.form === 'rdb' ? record.value.rdbVersion : undefined)
      this.writer.record(record)
      this.keys++
      if (this.sink.full) await this.sink.flush()
    }
  }
}

function noValues(): MigrateError {
  return new MigrateError(
    'FM_EXPORT_VALUE',
    'a file of commands has no values to export',
    'Rebuild its state: --source-option rebuild=true.',
  )
}
