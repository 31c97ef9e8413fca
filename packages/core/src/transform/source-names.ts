import { DatabaseSync, type StatementSync } from 'node:sqlite'
import type { DirtyKey, KeyReader } from '@ferrite-migrate/contracts'
import type { RecordTransform } from './record-transform.js'

/**
 * Tells what keys of the target are called at the source. Where rules hide it, every key of the source is renamed once and
 * noted in a temporary database, so that memory does not grow with the number of keys.
 */
export class SourceNames {
  private readonly transform: RecordTransform
  private readonly database: DatabaseSync | null
  private readonly find: StatementSync | null

  private constructor(transform: RecordTransform, database: DatabaseSync | null) {
    this.transform = transform
    this.database = database
    this.find = database?.prepare('SELECT db, key FROM names WHERE there = ? AND name = ?') ?? null
  }

  static async of(reader: KeyReader, transform: RecordTransform): Promise<SourceNames> {
    if (transform.traceable) return new SourceNames(transform, null)
    // An empty path is a private temporary database on disk.
    const database = new DatabaseSync('')
    database.exec('CREATE TABLE names (there INTEGER, name BLOB, db INTEGER, key BLOB)')
    const insert = database.prepare('INSERT INTO names VALUES (?, ?, ?, ?)')
    for await (const page of reader.keys()) {
      const names = await transform.names(page)
      database.exec('BEGIN')
      for (const [i, name] of names.entries()) if (name !== null) insert.run(name.db, name.key, page[i].db, page[i].key)
      database.exec('COMMIT')
    }
    database.exec('CREATE INDEX by_name ON names (there, name)')
    return new SourceNames(transform, database)
  }

  originals(db: number, key: Buffer): readonly DirtyKey[] {
    const known = this.transform.originals(db, key)
    if (known !== null || this.find === null) return known ?? []
    return this.find.all(db, key).map((row) => ({ db: Number(row.db), key: Buffer.from(row.key as Uint8Array) }))
  }

  close(): void {
    this.database?.close()
  }
}
