import { type AdapterContext, MigrateError, type SnapshotRecord } from '@ferrite-migrate/contracts'
import {
  openTransform,
  RecordFilter,
  type Registry,
  type ResolvedConfig,
  sourceFilter,
  wholeValue,
} from '@ferrite-migrate/core'
import { ByteSink } from './byte-sink.js'
import { CsvWriter } from './csv-writer.js'
import type { CreateWriter } from './export-writer.js'
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
 * @throws MigrateError FM_EXPORT_VALUE, FM_FILE_UNWRITABLE, whatever the source throws
 */
export async function runExport(options: ExportOptions): Promise<ExportReport> {
  const { config, registry, context, output, format } = options
  const transform = await openTransform(config, registry, context)
  try {
    await using source = await registry.source(config.source, OFFERED, config.sourceOptions, context)
    const filter = new RecordFilter(sourceFilter(config.filter, source))
    const sink = new ByteSink(output)
    const writer = WRITERS[format](sink)
    const leftOut: Record<string, number> = {}
    let begun = false
    let keys = 0
    let total: number | null = null
    const begin = (version: number | undefined): void => {
      if (!begun) writer.begin(version)
      begun = true
    }
    const take = async (records: readonly SnapshotRecord[]): Promise<void> => {
      const now = Date.now()
      const taken = records.filter((record) => filter.takes(record) && (record.expireAt === 0 || record.expireAt > now))
      const whole: SnapshotRecord[] = []
      for (const record of taken)
        whole.push(record.value.form === 'sliced' ? { ...record, value: await wholeValue(record.value) } : record)
      for (const record of await transform.records(whole)) {
        begin(record.value.form === 'rdb' ? record.value.rdbVersion : undefined)
        writer.record(record)
        keys++
        if (sink.full) await sink.flush()
      }
    }
    try {
      for (const shard of source.shards)
        for await (const event of shard.read({ signal: context.signal, changes: false })) {
          switch (event.kind) {
            case 'sync':
              if (event.keys !== undefined) total = (total ?? 0) + event.keys
              if (event.rdbVersion !== undefined) begin(event.rdbVersion)
              break
            case 'snapshot':
              await take(event.records)
              event.release?.()
              options.onProgress?.(keys, total)
              break
            case 'changes':
              event.release?.()
              throw new MigrateError(
                'FM_EXPORT_VALUE',
                'a file of commands has no values to export',
                'Rebuild its state: --source-option rebuild=true.',
              )
            case 'aside':
              if (event.what !== 'function' || !writer.library(event.payload))
                leftOut[event.what] = (leftOut[event.what] ?? 0) + 1
              break
            case 'left-out':
              leftOut[event.what] = (leftOut[event.what] ?? 0) + event.count
              break
          }
        }
      if (context.signal.aborted) {
        sink.drop()
        return { output, format, keys, bytes: sink.byteLength, leftOut }
      }
      begin(undefined)
      writer.end()
      await sink.end()
      return { output, format, keys, bytes: sink.byteLength, leftOut }
    } catch (error) {
      sink.drop()
      throw error
    }
  } finally {
    await transform.close()
  }
}
