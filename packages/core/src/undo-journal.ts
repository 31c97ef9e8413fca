import { existsSync, mkdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { DatabaseSync, type StatementSync } from 'node:sqlite'
import { deserialize, serialize } from 'node:v8'
import { type DirtyKey, MigrateError, type SnapshotRecord, type Value } from '@ferrite-migrate/contracts'

/** What a key was before this migration touched it; `before` is null where there was no such key. */
export interface Undo extends DirtyKey {
  readonly before: SnapshotRecord | null
}

const PAGE = 500

/** Where the journal of a migration is kept. */
function journalFile(directory: string, migration: string): string {
  return join(directory, `undo-${migration}.db`)
}

/**
 * The former values of the keys that a migration overwrote, deleted or created at a target that was not empty: a SQLite
 * file of its own, synchronous, because an entry must be on disk before the target changes.
 */
export class UndoJournal {
  private readonly db: DatabaseSync
  private readonly file: string
  private readonly limit: number
  private readonly insert: StatementSync
  private readonly select: StatementSync

  /** @throws MigrateError FM_STATE_DIR */
  constructor(directory: string, migration: string, limitBytes: number) {
    this.file = journalFile(directory, migration)
    this.limit = limitBytes
    try {
      mkdirSync(directory, { recursive: true, mode: 0o700 })
      this.db = new DatabaseSync(this.file)
      this.db.exec(
        'PRAGMA busy_timeout = 5000; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; CREATE TABLE IF NOT EXISTS undo (db INTEGER NOT NULL, key BLOB NOT NULL, expire_at INTEGER NOT NULL, value BLOB, PRIMARY KEY (db, key)) STRICT, WITHOUT ROWID',
      )
    } catch (cause) {
      throw new MigrateError(
        'FM_STATE_DIR',
        `the undo journal ${this.file} cannot be used: ${(cause as Error).message}`,
        'Give another directory with --state-dir, or do without a way back: --no-undo.',
        { cause },
      )
    }
    this.insert = this.db.prepare('INSERT OR IGNORE INTO undo VALUES (?, ?, ?, ?)')
    this.select = this.db.prepare('SELECT 1 FROM undo WHERE db = ? AND key = ?')
  }

  static exists(directory: string, migration: string): boolean {
    return existsSync(journalFile(directory, migration))
  }

  static remove(directory: string, migration: string): void {
    for (const end of ['', '-wal', '-shm']) rmSync(journalFile(directory, migration) + end, { force: true })
  }

  has(db: number, key: Buffer): boolean {
    return this.select.get(db, key) !== undefined
  }

  /** Bytes that the journal takes. */
  get byteLength(): number {
    const number = (pragma: string): number => Number(Object.values(this.db.prepare(`PRAGMA ${pragma}`).get() ?? {})[0])
    return number('page_count') * number('page_size')
  }

  get size(): number {
    return Number(this.db.prepare('SELECT count(*) AS n FROM undo').get()?.n)
  }

  /**
   * Keeps what these keys were; what is known of a key already stays. On disk when it returns.
   * @throws MigrateError FM_UNDO_FULL
   */
  keep(entries: readonly Undo[]): void {
    if (entries.length === 0) return
    if (this.byteLength > this.limit)
      throw new MigrateError(
        'FM_UNDO_FULL',
        `the undo journal has reached its limit of ${this.limit} bytes`,
        'Go on with --resume and a larger --undo-limit, or do without a way back: --no-undo.',
      )
    this.db.exec('BEGIN')
    for (const { db, key, before } of entries)
      this.insert.run(db, key, before?.expireAt ?? 0, before === null ? null : serialize(plain(before.value)))
    this.db.exec('COMMIT')
  }

  /** All entries, in pages of one database each. Entries may be dropped while this runs. */
  *pages(): Generator<Undo[]> {
    let after: { db: number; key: Buffer } = { db: -1, key: Buffer.alloc(0) }
    const next = this.db.prepare('SELECT * FROM undo WHERE (db, key) > (?, ?) ORDER BY db, key LIMIT ?')
    for (;;) {
      const rows = next.all(after.db, after.key, PAGE)
      if (rows.length === 0) return
      const page = rows
        .filter((row) => row.db === rows[0].db)
        .map((row): Undo => {
          const db = Number(row.db)
          const key = Buffer.from(row.key as Uint8Array)
          const before =
            row.value === null
              ? null
              : { db, key, value: revive(row.value as Uint8Array), expireAt: Number(row.expire_at) }
          return { db, key, before }
        })
      const last = page[page.length - 1]
      after = { db: last.db, key: last.key }
      yield page
    }
  }

  /** These are as they were again. */
  drop(keys: readonly DirtyKey[]): void {
    const remove = this.db.prepare('DELETE FROM undo WHERE db = ? AND key = ?')
    this.db.exec('BEGIN')
    for (const { db, key } of keys) remove.run(db, key)
    this.db.exec('COMMIT')
  }

  close(): void {
    this.db.close()
  }
}

/** Getters and views become what can be written. */
function plain(value: Value): Value {
  if (value.form === 'sliced') throw new Error('a sliced value in the undo journal')
  return value.form === 'rdb'
    ? { form: 'rdb', type: value.type, body: value.body, rdbVersion: value.rdbVersion }
    : value
}

function revive(bytes: Uint8Array): Value {
  const asBuffers = (part: unknown): unknown => {
    if (part instanceof Uint8Array) return Buffer.from(part.buffer, part.byteOffset, part.byteLength)
    if (Array.isArray(part)) return part.map(asBuffers)
    if (typeof part === 'object' && part !== null)
      return Object.fromEntries(Object.entries(part).map(([name, value]) => [name, asBuffers(value)]))
    return part
  }
  return asBuffers(deserialize(bytes)) as Value
}
