import { closeSync, writeSync } from 'node:fs'
import { MigrateError } from '@ferrite-migrate/contracts'
import { mustBeWritable, openPrivate } from '@ferrite-migrate/files'
import { printableKey } from '../records/printable-key.js'
import type { TransformFault } from './record-transform.js'

/** errors.ndjson: one line for each key whose value could not be transformed. Made with the first of them. */
export class FaultFile {
  private readonly path: string
  private readonly migration: string
  private file: number | null = null
  /** True once there is something in it. */
  opened = false

  constructor(path: string, migration: string) {
    this.path = path
    this.migration = migration
  }

  /** Said before the first key is read. @throws MigrateError FM_FILE_UNWRITABLE */
  check(): void {
    mustBeWritable(this.path)
  }

  /** @throws MigrateError FM_FILE_UNWRITABLE */
  add({ db, key, reason }: TransformFault): void {
    try {
      this.file ??= openPrivate(this.path, 'a')
      this.opened = true
      const line = {
        at: new Date().toISOString(),
        migration: this.migration,
        db,
        key: printableKey(key),
        keyBase64: key.toString('base64'),
        reason,
      }
      writeSync(this.file, `${JSON.stringify(line)}\n`)
    } catch (cause) {
      if (cause instanceof MigrateError) throw cause
      throw new MigrateError(
        'FM_FILE_UNWRITABLE',
        `${this.path} cannot be written (${(cause as NodeJS.ErrnoException).code ?? 'error'})`,
        'Name another file with --errors-file.',
        { cause },
      )
    }
  }

  close(): void {
    if (this.file !== null) closeSync(this.file)
    this.file = null
  }
}
