import { MigrateError, type SourceEvent } from '@ferrite-migrate/contracts'
import { RejectFile } from './reject-file.js'
import type { RowError } from './row.js'

export interface RowFaultsOptions {
  readonly onError: 'fail' | 'skip'
  readonly rejects: string
}

/** Rows that cannot be used: the first one ends the run, or they are listed in a file. */
export class RowFaults {
  private readonly options: RowFaultsOptions
  private readonly file: RejectFile
  private count = 0
  private first: RowError | null = null

  constructor(options: RowFaultsOptions) {
    this.options = options
    this.file = new RejectFile(options.rejects)
    if (options.onError !== 'fail') this.file.check()
  }

  /** @throws MigrateError FM_IMPORT_ROW where none may be left out */
  add(error: RowError): void {
    this.count++
    this.first ??= error
    if (this.options.onError === 'fail')
      throw new MigrateError(
        'FM_IMPORT_ROW',
        `line ${error.line}: ${error.message}`,
        'Correct the row, or leave such rows out by --on-error skip.',
      )
    this.file.add(error)
  }

  /** Where no row at all can be used, the call is wrong and not the rows. @throws MigrateError FM_IMPORT_ROW if there is any */
  refuseAll(): void {
    if (this.first === null) return
    throw new MigrateError(
      'FM_IMPORT_ROW',
      `none of ${this.count} rows could be used; the first, in line ${this.first.line}: ${this.first.message}`,
      'Look at --key and the other names of fields, and at the layout (--format, --delimiter).',
    )
  }

  /** What is to be told of them at the end. */
  *leftOut(): Generator<SourceEvent> {
    if (this.count > 0)
      yield {
        kind: 'left-out',
        what: `row that could not be used (see ${this.options.rejects})`,
        count: this.count,
        examples: [],
      }
  }

  close(): void {
    this.file.close()
  }
}
