import type { SnapshotRecord } from '@ferrite-migrate/contracts'
import type { ByteSink } from './byte-sink.js'

/** One layout of an export. */
export interface ExportWriter {
  /** Before everything else; the version is that of the source's own payloads, undefined = it has none. */
  begin(rdbVersion: number | undefined): void
  /** Values are whole. @throws MigrateError FM_EXPORT_VALUE when the layout cannot hold it */
  record(record: SnapshotRecord): void
  /** A function library. False = the layout has no place for it. */
  library(source: Buffer): boolean
  end(): void
}

/** Makes a writer for a sink. */
export type CreateWriter = (sink: ByteSink) => ExportWriter
