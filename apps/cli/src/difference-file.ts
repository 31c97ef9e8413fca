import { closeSync, writeSync } from 'node:fs'
import { unwritable } from '@ferrite-migrate/cli-kit'
import type { KeyDifference } from '@ferrite-migrate/core'
import { openPrivate } from '@ferrite-migrate/files'

/** The layout of the file, see docs/verification.md. */
const VERSION = 1

/** Differences as they are found: one JSON document, or for `.ndjson` one line a key. Nothing is held in memory. */
export class DifferenceFile {
  private readonly path: string
  private readonly file: number
  private readonly lines: boolean
  private first = true

  /** @throws MigrateError FM_FILE_UNWRITABLE */
  constructor(path: string, source: string, target: string) {
    this.path = path
    this.lines = path.endsWith('.ndjson')
    this.file = openPrivate(path, 'w')
    if (!this.lines) {
      const head = JSON.stringify({ version: VERSION, source, target, comparedAt: new Date().toISOString() })
      this.write(`${head.slice(0, -1)},"differences":[`)
    }
  }

  add(difference: KeyDifference): void {
    const text = JSON.stringify(difference)
    this.write(this.lines ? `${text}\n` : `${this.first ? '' : ','}\n${text}`)
    this.first = false
  }

  close(): void {
    if (!this.lines) this.write('\n]}\n')
    closeSync(this.file)
  }

  private write(text: string): void {
    try {
      writeSync(this.file, text)
    } catch (cause) {
      throw unwritable(this.path, cause)
    }
  }
}
