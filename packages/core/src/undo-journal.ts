import { existsSync, mkdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { DatabaseSync, type StatementSync } from 'node:sqlite'
import { deserialize, serialize } from 'node:v8'
import { type DirtyKey, MigrateError, type SnapshotRecord, type Value } from '@ferrite-migrate/contracts'
import { FingerprintSet } from '@ferrite-migrate/protocol'

/** What a key was before this migration touched it; `before` is null where there was no such key. */
export interface Undo extends DirtyKey {
  readonly before: SnapshotRecord | null
}

const PAGE = 500
/** What the column `type` says where it is no type of an RDB value. */
const NOTHING = -1
const SERIALIZED = -2
const EMPTY = Buffer.alloc(0)

/** Where the journal of a migration is kept. */
function journalFile(directory: string, migration: string): string {
  return join(directory, `undo-${migration}.db`)
}

/**
 * The former values of the keys that a migration overwrote, deleted or created at a target that was not empty: a SQLite
 * file of its own, synchronous, because an entry must be on disk before the target changes. Entries are only appended, for
 * a tree ordered by key writes a page for each; of several entries of a key the first is what it was. Which keys have one
 * is remembered as fingerprints, sixteen bytes a key.
 */
export class UndoJournal {
  private readonly db: DatabaseSync
  private readonly file: string
  private readonly limit: number
  private readonly insert: StatementSync
  private readonly known = new FingerprintSet()

  /** @throws MigrateError FM_STATE_DIR */
  constructor(directory: string, migration: string, limitBytes: number) {
    this.file = journalFile(directory, migration)
    this.limit = limitBytes
    try {
      mkdirSync(directory, { recursive: true, mode: 0o700 })
      this.db = new DatabaseSync(this.file)
      this.db.exec(
        'PRAGMA busy_timeout = 5000; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; CREATE TABLE IF NOT EXISTS undo (id INTEGER PRIMARY KEY, db INTEGER NOT NULL, key BLOB NOT NULL, expire_at INTEGER NOT NULL, type INTEGER NOT NULL, version INTEGER NOT NULL, value BLOB NOT NULL) STRICT',
      )
    } catch (cause) {
      throw new MigrateError(
        'FM_STATE_DIR',
        `the undo journal ${this.file} cannot be used: ${(cause as Error).message}`,
        'Give another directory with --state-dir, or do without a way back: --no-undo.',
        { cause },
      )
    }
    this.insert = this.db.prepare('INSERT INTO undo VALUES (NULL, ?, ?, ?, ?, ?, ?)')
    for (const { db, key } of this.db.prepare('SELECT db, key FROM undo').iterate())
      this.known.add(Number(db), bufferOf(key as Uint8Array))
  }

  static exists(directory: string, migration: string): boolean {
    return existsSync(journalFile(directory, migration))
  }

  static remove(directory: string, migration: string): void {
    for (const end of ['', '-wal', '-shm']) rmSync(journalFile(directory, migration) + end, { force: true })
  }

  has(db: number, key: Buffer): boolean {
    return this.known.has(db, key)
  }

  /** Bytes that the journal takes. */
  get byteLength(): number {
    const number = (pragma: string): number => Number(Object.values(this.db.prepare(`PRAGMA ${pragma}`).get() ?? {})[0])
    return number('page_count') * number('page_size')
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
    for (const { db, key, before } of entries) {
      if (before === null) this.insert.run(db, key, 0, NOTHING, 0, EMPTY)
      else if (before.value.form === 'rdb') {
        const { type, rdbVersion, body } = before.value
        this.insert.run(db, key, before.expireAt, type, rdbVersion, body)
      } else this.insert.run(db, key, before.expireAt, SERIALIZED, 0, serialized(before.value))
    }
    this.db.exec('COMMIT')
    for (const { db, key } of entries) this.known.add(db, key)
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
              ? revive(body)
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
    this.db.exec('BEGIN')
    for (const { db, key } of keys) remove.run(db, key)
    this.db.exec('COMMIT')
  }

  close(): void {
    this.db.close()
  }
}

function serialized(value: Value): Buffer {
  if (value.form === 'sliced') throw new Error('a sliced value in the undo journal')
  return serialize(value)
}

function bufferOf(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
}

function revive(bytes: Uint8Array): Value {
  const asBuffers = (part: unknown): unknown => {
    if (part instanceof Uint8Array) return bufferOf(part)
    if (Array.isArray(part)) return part.map(asBuffers)
    if (typeof part === 'object' && part !== null)
      return Object.fromEntries(Object.entries(part).map(([name, value]) => [name, asBuffers(value)]))
    return part
  }
  return asBuffers(deserialize(bytes)) as Value
}
