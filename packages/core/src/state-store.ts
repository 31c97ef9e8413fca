import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { MigrateError } from '@ferrite-migrate/contracts'
import type { MigrationStatus } from './status.js'

/** A row of the migrations table as commands see it. */
export interface StoredMigration {
  readonly id: string
  readonly createdAt: number
  readonly source: string
  readonly target: string
  readonly mode: string
  readonly pid: number
  readonly heartbeatAt: number
  readonly status: MigrationStatus
}

export interface StoredEvent {
  readonly at: number
  readonly type: string
  readonly text: string
}

const SCHEMA = `
CREATE TABLE IF NOT EXISTS migrations (
  id TEXT PRIMARY KEY, created_at INTEGER NOT NULL, source TEXT NOT NULL, target TEXT NOT NULL, mode TEXT NOT NULL,
  pid INTEGER NOT NULL, heartbeat_at INTEGER NOT NULL, status TEXT NOT NULL, plan TEXT NOT NULL
) STRICT;
CREATE TABLE IF NOT EXISTS positions (
  migration TEXT NOT NULL, shard TEXT NOT NULL, position TEXT NOT NULL, saved_at INTEGER NOT NULL, PRIMARY KEY (migration, shard)
) STRICT;
CREATE TABLE IF NOT EXISTS events (
  migration TEXT NOT NULL, at INTEGER NOT NULL, type TEXT NOT NULL, text TEXT NOT NULL
) STRICT;
CREATE INDEX IF NOT EXISTS events_by_migration ON events (migration, at);
`

/** A heartbeat older than this, or a pid that is gone, means that the process died. */
const HEARTBEAT_MS = 15_000

/**
 * Migrations, positions and events in one SQLite file that several processes share. Connection strings are stored
 * redacted; no secret ever gets here.
 */
export class StateStore {
  private readonly db: DatabaseSync

  /** @throws MigrateError FM_STATE_DIR when the directory cannot be used */
  constructor(directory: string) {
    try {
      mkdirSync(directory, { recursive: true, mode: 0o700 })
      this.db = new DatabaseSync(join(directory, 'state.db'))
      this.db.exec(
        'PRAGMA journal_mode = WAL; PRAGMA busy_timeout = 5000; PRAGMA synchronous = NORMAL; PRAGMA cache_size = -512;',
      )
      this.db.exec(SCHEMA)
    } catch (cause) {
      throw new MigrateError(
        'FM_STATE_DIR',
        `the state directory ${directory} cannot be used: ${(cause as Error).message}`,
        'Give another with --state-dir or FERRITE_MIGRATE_STATE_DIR.',
        { cause },
      )
    }
  }

  create(row: Omit<StoredMigration, 'heartbeatAt'> & { readonly plan: string }): void {
    const known = this.find(row.id)
    if (known !== undefined && !isOver(known))
      throw new MigrateError(
        'FM_ID_TAKEN',
        `the migration ${row.id} is running as process ${known.pid}`,
        'Choose another --id, or stop that process first.',
      )
    this.db
      .prepare('INSERT OR REPLACE INTO migrations VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)')
      .run(
        row.id,
        row.createdAt,
        row.source,
        row.target,
        row.mode,
        row.pid,
        Date.now(),
        JSON.stringify(row.status),
        row.plan,
      )
  }

  save(id: string, status: MigrationStatus): void {
    this.db
      .prepare('UPDATE migrations SET status = ?, heartbeat_at = ? WHERE id = ?')
      .run(JSON.stringify(status), Date.now(), id)
  }

  savePosition(id: string, shard: string, position: string): void {
    this.db.prepare('INSERT OR REPLACE INTO positions VALUES (?, ?, ?, ?)').run(id, shard, position, Date.now())
  }

  addEvent(id: string, type: string, text: string): void {
    this.db.prepare('INSERT INTO events VALUES (?, ?, ?, ?)').run(id, Date.now(), type, text)
  }

  events(id: string): StoredEvent[] {
    return this.db
      .prepare('SELECT at, type, text FROM events WHERE migration = ? ORDER BY at, rowid')
      .all(id) as unknown as StoredEvent[]
  }

  find(id: string): StoredMigration | undefined {
    const row = this.db.prepare('SELECT * FROM migrations WHERE id = ?').get(id)
    return row === undefined ? undefined : toMigration(row)
  }

  /** @throws MigrateError FM_ID_UNKNOWN */
  get(id: string): StoredMigration {
    const found = this.find(id)
    if (found === undefined)
      throw new MigrateError(
        'FM_ID_UNKNOWN',
        `there is no migration ${id}`,
        'ferrite-migrate list shows all; another state directory needs --state-dir.',
      )
    return found
  }

  /** Newest first. */
  list(): StoredMigration[] {
    return this.db.prepare('SELECT * FROM migrations ORDER BY created_at DESC, rowid DESC').all().map(toMigration)
  }

  close(): void {
    this.db.close()
  }
}

function isOver(migration: StoredMigration): boolean {
  return migration.status.state !== 'RUNNING'
}

function alive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM'
  }
}

function toMigration(row: Record<string, unknown>): StoredMigration {
  const status = JSON.parse(String(row.status)) as MigrationStatus
  const pid = Number(row.pid)
  const heartbeatAt = Number(row.heartbeat_at)
  const died = status.state === 'RUNNING' && (!alive(pid) || Date.now() - heartbeatAt > HEARTBEAT_MS)
  return {
    id: String(row.id),
    createdAt: Number(row.created_at),
    source: String(row.source),
    target: String(row.target),
    mode: String(row.mode),
    pid,
    heartbeatAt,
    status: died ? { ...status, state: 'INTERRUPTED', phase: 'INTERRUPTED' } : status,
  }
}
