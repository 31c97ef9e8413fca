import { DatabaseSync } from 'node:sqlite'
import { MigrateError } from '@ferrite-migrate/contracts'
import { privatePlace } from '@ferrite-migrate/files'

const VERSION = 7
const SCHEMA = `
CREATE TABLE IF NOT EXISTS migrations (
  id TEXT PRIMARY KEY, created_at INTEGER NOT NULL, source TEXT NOT NULL, target TEXT NOT NULL, mode TEXT NOT NULL,
  pid INTEGER NOT NULL, heartbeat_at INTEGER NOT NULL, status TEXT NOT NULL, plan TEXT NOT NULL,
  config TEXT NOT NULL, facts TEXT NOT NULL, epoch INTEGER NOT NULL DEFAULT 0, owner TEXT NOT NULL DEFAULT '', report TEXT NOT NULL DEFAULT '',
  holder TEXT NOT NULL DEFAULT '', expires_at INTEGER NOT NULL DEFAULT 0, metrics TEXT NOT NULL DEFAULT ''
) STRICT;
CREATE TABLE IF NOT EXISTS positions (
  migration TEXT NOT NULL, shard TEXT NOT NULL, position TEXT NOT NULL, saved_at INTEGER NOT NULL, PRIMARY KEY (migration, shard)
) STRICT;
CREATE TABLE IF NOT EXISTS events (
  migration TEXT NOT NULL, at INTEGER NOT NULL, type TEXT NOT NULL, text TEXT NOT NULL, actor TEXT NOT NULL
) STRICT;
CREATE INDEX IF NOT EXISTS events_by_migration ON events (migration, at);
CREATE TABLE IF NOT EXISTS samples (
  migration TEXT NOT NULL, at INTEGER NOT NULL, phase TEXT NOT NULL, keys INTEGER NOT NULL, changes INTEGER NOT NULL,
  rate REAL NOT NULL, lag_keys REAL, lag_bytes REAL, lag_ms REAL
) STRICT;
CREATE INDEX IF NOT EXISTS samples_by_migration ON samples (migration, at);
CREATE TABLE IF NOT EXISTS passes (
  migration TEXT NOT NULL, number INTEGER NOT NULL, started_at INTEGER NOT NULL, ended_at INTEGER NOT NULL,
  sync TEXT NOT NULL, written INTEGER NOT NULL, deleted INTEGER NOT NULL, changes INTEGER NOT NULL, PRIMARY KEY (migration, number)
) STRICT;
CREATE TABLE IF NOT EXISTS requests (
  id INTEGER PRIMARY KEY, migration TEXT NOT NULL, kind TEXT NOT NULL, args TEXT NOT NULL, actor TEXT NOT NULL,
  asked_at INTEGER NOT NULL, state TEXT NOT NULL, answer TEXT NOT NULL
) STRICT;
CREATE TABLE IF NOT EXISTS schedules (
  migration TEXT PRIMARY KEY, at INTEGER NOT NULL, args TEXT NOT NULL, actor TEXT NOT NULL
) STRICT;
CREATE TABLE IF NOT EXISTS loans (
  id INTEGER PRIMARY KEY, migration TEXT NOT NULL, server TEXT NOT NULL, what TEXT NOT NULL, former TEXT NOT NULL,
  at INTEGER NOT NULL, owner TEXT NOT NULL, identity TEXT NOT NULL DEFAULT ''
) STRICT;
`

/**
 * Opens the one SQLite file of a state directory. Several processes share it: WAL, and a wait for one another.
 * @throws MigrateError FM_STATE_DIR when the directory cannot be used or a newer version wrote it
 */
export function openStateDatabase(directory: string): DatabaseSync {
  const unusable = (reason: string, cause?: unknown): MigrateError =>
    new MigrateError(
      'FM_STATE_DIR',
      `the state directory ${directory} cannot be used: ${reason}`,
      'Give another with --state-dir or FERRITE_MIGRATE_STATE_DIR.',
      { cause },
    )
  let db: DatabaseSync
  try {
    // What SQLite makes beside the file gets the file's mode.
    db = new DatabaseSync(privatePlace(directory, 'state.db'))
    db.exec(
      'PRAGMA busy_timeout = 2000; PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; PRAGMA cache_size = -512;',
    )
  } catch (cause) {
    throw unusable((cause as Error).message, cause)
  }
  const version = Number(Object.values(db.prepare('PRAGMA user_version').get() ?? {})[0])
  if (version > VERSION) {
    db.close()
    throw unusable('a newer version of ferrite-migrate wrote it')
  }
  if (version === VERSION) return db
  try {
    db.exec('BEGIN IMMEDIATE')
    // Version 0 of before the first release kept no configuration: what it holds is only a record of the past.
    const columns = db
      .prepare('PRAGMA table_info(migrations)')
      .all()
      .map((row) => String(row.name))
    if (columns.length > 0 && !columns.includes('config'))
      db.exec(
        "ALTER TABLE migrations ADD COLUMN config TEXT NOT NULL DEFAULT '{}'; ALTER TABLE migrations ADD COLUMN facts TEXT NOT NULL DEFAULT '{}'; ALTER TABLE events ADD COLUMN actor TEXT NOT NULL DEFAULT ''",
      )
    if (columns.length > 0 && !columns.includes('epoch'))
      db.exec(
        "ALTER TABLE migrations ADD COLUMN epoch INTEGER NOT NULL DEFAULT 0; ALTER TABLE migrations ADD COLUMN owner TEXT NOT NULL DEFAULT ''",
      )
    if (columns.length > 0 && !columns.includes('report'))
      db.exec("ALTER TABLE migrations ADD COLUMN report TEXT NOT NULL DEFAULT ''")
    if (columns.length > 0 && !columns.includes('holder'))
      db.exec(
        "ALTER TABLE migrations ADD COLUMN holder TEXT NOT NULL DEFAULT ''; ALTER TABLE migrations ADD COLUMN expires_at INTEGER NOT NULL DEFAULT 0",
      )
    if (columns.length > 0 && !columns.includes('metrics'))
      db.exec("ALTER TABLE migrations ADD COLUMN metrics TEXT NOT NULL DEFAULT ''")
    const loans = db.prepare('PRAGMA table_info(loans)').all()
    if (loans.length > 0 && !loans.some(({ name }) => name === 'identity'))
      db.exec("ALTER TABLE loans ADD COLUMN identity TEXT NOT NULL DEFAULT ''")
    db.exec(SCHEMA)
    db.exec(`PRAGMA user_version = ${VERSION}`)
    db.exec('COMMIT')
    return db
  } catch (cause) {
    db.close()
    throw unusable((cause as Error).message, cause)
  }
}
