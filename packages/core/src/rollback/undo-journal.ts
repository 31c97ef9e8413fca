import { existsSync, rmSync } from 'node:fs'
import { basename, join } from 'node:path'
import { DatabaseSync, type StatementSync } from 'node:sqlite'
import { deserialize, serialize } from 'node:v8'
import { type DirtyKey, MigrateError, type SnapshotRecord, type Value } from '@ferrite-migrate/contracts'
import { privatePlace } from '@ferrite-migrate/files'
import { FingerprintMap } from '@ferrite-migrate/protocol'
import { bufferOf, revived } from '../records/revived.js'

/** What a key was before this migration touched it; `before` is null where there was no such key. */
export interface Undo extends DirtyKey {
  readonly before: SnapshotRecord | null
}

const PAGE = 500
/** What the column `type` says where it is no type of an RDB value. */
const NOTHING = -1
const SERIALIZED = -2
const EMPTY = Buffer.alloc(0)
const VERSION = 2
const SCHEMA =
  'CREATE TABLE IF NOT EXISTS undo (id INTEGER PRIMARY KEY, db INTEGER NOT NULL, key BLOB NOT NULL, expire_at INTEGER NOT NULL, type INTEGER NOT NULL, version INTEGER NOT NULL, value BLOB NOT NULL) STRICT'

/** Where the journal of a migration is kept. */
function journalFile(directory: string, migration: string): string {
  return join(directory, `undo-${migration}.db`)
}

/**
 * The former values of the keys that a migration overwrote, deleted or created at a target that was not empty: a SQLite
 * file of its own, synchronous, because an entry must be on disk before the target changes. Entries are only appended, for
 * a tree ordered by key writes a page for each; of several entries of a key the first is what it was. Where the entry of a
 * key is, is remembered: 24 to 48 bytes a key.
 */
export class UndoJournal {
  private readonly db: DatabaseSync
  private readonly file: string
  private readonly limit: number
  private readonly insert: StatementSync
  private readonly select: StatementSync
  /** Numbers of entries; null = what the file holds was not looked at. */
  private entries: FingerprintMap | null = null

  /** @throws MigrateError FM_STATE_DIR */
  constructor(directory: string, migration: string, limitBytes: number) {
    this.file = journalFile(directory, migration)
    this.limit = limitBytes
    try {
      privatePlace(directory, basename(this.file))
      this.db = new DatabaseSync(this.file)
      this.db.exec('PRAGMA busy_timeout = 5000; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL')
      const version = this.pragma('user_version')
      if (version !== VERSION && this.pragma('schema_version') > 0)
        throw new MigrateError(
          'FM_STATE_DIR',
          `another version of ferrite-migrate wrote the undo journal ${this.file}`,
          'Use that version for this migration and its rollback.',
        )
      // A transaction that begins with a look does not wait for another process that writes, but fails at once.
      this.db.exec(`BEGIN IMMEDIATE; ${SCHEMA}; PRAGMA user_version = ${VERSION}; COMMIT`)
    } catch (cause) {
      if (cause instanceof MigrateError) throw cause
      throw new MigrateError(
        'FM_STATE_DIR',
        `the undo journal ${this.file} cannot be used: ${(cause as Error).message}`,
        'Give another directory with --state-dir, or do without a way back: --no-undo.',
        { cause },
      )
    }
    this.insert = this.db.prepare('INSERT INTO undo VALUES (NULL, ?, ?, ?, ?, ?, ?)')
    this.select = this.db.prepare('SELECT type FROM undo WHERE id = ? AND db = ? AND key = ?')
  }

  /** Looks, once, which keys have entries, and makes the file fit to be appended to. */
  private load(): FingerprintMap {
    if (this.entries !== null) return this.entries
    this.entries = new FingerprintMap()
    for (const { id, db, key } of this.db.prepare('SELECT id, db, key FROM undo ORDER BY id').iterate())
      this.entries.add(Number(db), bufferOf(key as Uint8Array), Number(id))
    // What a rollback that was only tried has left.
    this.db.exec('DROP INDEX IF EXISTS undo_key')
    return this.entries
  }

  /** Other processes have kept entries as well: looks at all once more, when it is asked next. */
  refresh(): void {
    this.entries = null
  }

  static exists(directory: string, migration: string): boolean {
    return existsSync(journalFile(directory, migration))
  }

  static remove(directory: string, migration: string): void {
    for (const end of ['', '-wal', '-shm']) rmSync(journalFile(directory, migration) + end, { force: true })
  }

  has(db: number, key: Buffer): boolean {
    const id = this.load().get(db, key)
    return id !== undefined && this.select.get(id, db, key) !== undefined
  }

  /** True for a key that was not there before. */
  created(db: number, key: Buffer): boolean {
    const id = this.load().get(db, key)
    return id !== undefined && this.select.get(id, db, key)?.type === NOTHING
  }

  /** Bytes that the journal takes. */
  get byteLength(): number {
    return (this.pragma('page_count') - this.pragma('freelist_count')) * this.pragma('page_size')
  }

  private pragma(name: string): number {
    return Number(Object.values(this.db.prepare(`PRAGMA ${name}`).get() ?? {})[0])
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
    const known = this.load()
    this.transaction(() => {
      for (const entry of entries) known.add(entry.db, entry.key, this.append(entry))
    })
  }

  /** All or nothing, on disk when it returns. */
  private transaction(write: () => void): void {
    try {
      this.db.exec('BEGIN')
      write()
      this.db.exec('COMMIT')
    } catch (cause) {
      try {
        this.db.exec('ROLLBACK')
      } catch {
        // A full disk has ended the transaction already.
      }
      throw new MigrateError(
        'FM_UNDO_FULL',
        `the undo journal ${this.file} cannot be written: ${(cause as Error).message}`,
        'Make room for the state directory and go on with --resume, or do without a way back: --no-undo.',
        { cause },
      )
    }
  }

  /** Gives the number of the entry. */
  private append({ db, key, before }: Undo): number {
    const { insert } = this
    if (before === null) return Number(insert.run(db, key, 0, NOTHING, 0, EMPTY).lastInsertRowid)
    const { value, expireAt } = before
    const { lastInsertRowid } =
      value.form === 'rdb'
        ? insert.run(db, key, expireAt, value.type, value.rdbVersion, value.body)
        : insert.run(db, key, expireAt, SERIALIZED, 0, serialized(value))
    return Number(lastInsertRowid)
  }

  /** How many keys it knows. */
  count(): number {
    return Number(this.db.prepare('SELECT count(*) AS n FROM (SELECT DISTINCT db, key FROM undo)').get()?.n ?? 0)
  }

  /** All keys with what they were, in pages of one database each. Keys may be dropped while this runs, and none kept. */
  *pages(): Generator<Undo[]> {
    this.db.exec(
      'CREATE INDEX IF NOT EXISTS undo_key ON undo (db, key, id); DELETE FROM undo WHERE EXISTS (SELECT 1 FROM undo AS former WHERE former.db = undo.db AND former.key = undo.key AND former.id < undo.id)',
    )
    let after: { db: number; key: Buffer } = { db: -1, key: Buffer.alloc(0) }
    const next = this.db.prepare('SELECT * FROM undo WHERE (db, key) > (?, ?) ORDER BY db, key LIMIT ?')
    for (;;) {
      const rows = next.all(after.db, after.key, PAGE)
      if (rows.length === 0) return
      const page = rows
        .filter((row) => row.db === rows[0].db)
        .map((row): Undo => {
          const db = Number(row.db)
          const key = bufferOf(row.key as Uint8Array)
          if (row.type === NOTHING) return { db, key, before: null }
          const body = bufferOf(row.value as Uint8Array)
          const value: Value =
            row.type === SERIALIZED
              ? revived<Value>(deserialize(body))
              : { form: 'rdb', type: Number(row.type), rdbVersion: Number(row.version), body }
          return { db, key, before: { db, key, value, expireAt: Number(row.expire_at) } }
        })
      const last = page[page.length - 1]
      after = { db: last.db, key: last.key }
      yield page
    }
  }

  /** These are as they were again. */
  drop(keys: readonly DirtyKey[]): void {
    const remove = this.db.prepare('DELETE FROM undo WHERE db = ? AND key = ?')
    this.transaction(() => {
      for (const { db, key } of keys) remove.run(db, key)
    })
  }

  close(): void {
    this.db.close()
  }
}

function serialized(value: Value): Buffer {
  if (value.form === 'sliced') throw new Error('a sliced value in the undo journal')
  return serialize(value)
}
