import { closeSync, writeSync } from 'node:fs'
import { unwritable } from '@ferrite-migrate/cli-kit'
import { type KeyRow, printableKey } from '@ferrite-migrate/core'
import { openPrivate } from '@ferrite-migrate/files'

const FLUSH_AT = 1 << 20

/** A CSV file with one row a key. Keys that are not plain text have their other bytes as \xHH. */
export class KeyTable {
  private readonly path: string
  private readonly file: number
  private text = 'db,key,type,encoding,bytes,elements,ttl_ms,largest_element\n'

  /** @throws MigrateError FM_FILE_UNWRITABLE */
  constructor(path: string) {
    this.path = path
    this.file = openPrivate(path, 'w')
  }

  add(row: KeyRow, now: number): void {
    const ttl = row.expireAt === 0 ? '' : String(row.expireAt - now)
    this.text += `${row.db},${quoted(printableKey(row.key))},${row.type},${row.encoding},${row.bytes},${row.elements},${ttl},${row.largestElement}\n`
    if (this.text.length > FLUSH_AT) this.flush()
  }

  close(): void {
    this.flush()
    closeSync(this.file)
  }

  private flush(): void {
    try {
      writeSync(this.file, this.text)
    } catch (cause) {
      throw unwritable(this.path, cause)
    }
    this.text = ''
  }
}

function quoted(text: string): string {
  return /[",\n\r]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text
}
