import type { ReadRequest, Shard, SnapshotRecord, SourceEvent } from '@ferrite-migrate/contracts'
import { FileFeed } from '@ferrite-migrate/files'
import { type CsvOptions, csvPages } from './csv-reader.js'
import { GroupStore } from './group-store.js'
import { jsonPages } from './json-pages.js'
import { RowError, type RowPage } from './row.js'
import { RowBatch, type RowBatchOptions } from './row-batch.js'
import { RowFaults, type RowFaultsOptions } from './row-faults.js'
import { type Encoding, TextFeed } from './text-feed.js'

export type Format = 'json' | 'ndjson' | 'csv' | 'tsv'

export interface JsonCsvShardOptions extends RowBatchOptions, RowFaultsOptions {
  readonly path: string
  readonly format: Format
  readonly csv: CsvOptions
  readonly encoding: Encoding
  readonly batchSize: number
}

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
    const faults = new RowFaults(this.options)
    const groups = mapper?.grouped ? new GroupStore(mapper, this.options.db) : null
    let taken = 0
    try {
      yield {
        kind: 'sync',
        mode: 'full',
        ...(feed.size === null || feed.compression !== 'none' ? {} : { bytes: feed.size }),
      }
      let checked = false
      const batch = new RowBatch(this.options, (error) => faults.add(error))
      for await (const page of this.pages(feed, signal)) {
        if (signal.aborted) return
        if (page.columns !== undefined && mapper !== null && !checked) {
          mapper.checkColumns(page.columns)
          checked = true
        }
        for (const fault of page.faults) faults.add(fault)
        for (const row of page.rows) {
          try {
            if (groups === null) batch.add(row)
            else groups.add(row)
            taken++
          } catch (error) {
            if (!(error instanceof RowError)) throw error
            faults.add(error)
          }
          if (batch.size >= batchSize) yield { kind: 'snapshot', records: batch.take(), byteLength: 0 }
        }
        yield { kind: 'snapshot', records: batch.take(), byteLength: page.byteLength }
      }
      if (taken === 0) faults.refuseAll()
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
      yield* faults.leftOut()
      yield { kind: 'snapshot-end' }
    } finally {
      groups?.close()
      faults.close()
      await feed.close()
    }
  }

  private pages(feed: FileFeed, signal: AbortSignal): AsyncIterable<RowPage> {
    const { format, encoding, csv } = this.options
    const text = new TextFeed(feed, encoding)
    return format === 'csv' || format === 'tsv' ? csvPages(text, csv) : jsonPages(text, format === 'ndjson', signal)
  }
}
