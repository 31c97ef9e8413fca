import { closeSync, writeSync } from 'node:fs'
import { MigrateError } from '@ferrite-migrate/contracts'
import { mustBeWritable, openPrivate } from '@ferrite-migrate/files'
import type { RowError } from './row.js'

const ROW_BYTES = 4000

/** rejects.ndjson: one line for each row that was left out. Made with the first of them. */
export class RejectFile {
  private readonly path: string
  private file: number | null = null

  constructor(path: string) {
    this.path = path
  }

  /** Said before the first row is read. @throws MigrateError FM_FILE_UNWRITABLE */
  check(): void {
    mustBeWritable(this.path)
  }

  /** @throws MigrateError FM_FILE_UNWRITABLE */
  add({ line, message, row }: RowError): void {
    try {
      this.file ??= openPrivate(this.path, 'w')
      writeSync(this.file, `${JSON.stringify({ line, reason: message, row: row.slice(0, ROW_BYTES) })}\n`)
    } catch (cause) {
      if (cause instanceof MigrateError) throw cause
      throw new MigrateError(
        'FM_FILE_UNWRITABLE',
        `${this.path} cannot be written (${(cause as NodeJS.ErrnoException).code ?? 'error'})`,
        'Name another file with --rejects.',
        { cause },
      )
    }
  }

  close(): void {
    if (this.file !== null) closeSync(this.file)
    this.file = null
  }
}
