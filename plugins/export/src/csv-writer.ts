import type { SnapshotRecord } from '@ferrite-migrate/contracts'
import type { ByteSink } from './byte-sink.js'
import type { ExportWriter } from './export-writer.js'
import { textOf, valueJson } from './ndjson-writer.js'

/** A table: db, key, type, expireAt (ISO 8601 or empty), value. What is no plain text is JSON. */
export class CsvWriter implements ExportWriter {
  private readonly sink: ByteSink

  constructor(sink: ByteSink) {
    this.sink = sink
  }

  begin(): void {
    this.sink.write('db,key,type,expireAt,value\r\n')
  }

  record(record: SnapshotRecord): void {
    const { type, value } = valueJson(record)
    const key = textOf(record.key)
    const cells = [
      String(record.db),
      typeof key === 'string' ? key : JSON.stringify(key),
      type,
      record.expireAt === 0 ? '' : new Date(record.expireAt).toISOString(),
      typeof value === 'string' ? value : JSON.stringify(value),
    ]
    this.sink.write(`${cells.map(cell).join(',')}\r\n`)
  }

  library(): boolean {
    return false
  }

  end(): void {}
}

function cell(text: string): string {
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text
}
