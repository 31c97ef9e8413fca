import { homedir } from 'node:os'
import { join } from 'node:path'
import type { DatabaseSync, StatementSync } from 'node:sqlite'
import { MigrateError } from '@ferrite-migrate/contracts'
import { currentActor } from './actor.js'
import { currentProcess, isGone, type ProcessIdentity } from './process-identity.js'
import type {
  Loan,
  NumberedEvent,
  Pass,
  RunFacts,
  Sample,
  StoredDetails,
  StoredEvent,
  StoredLease,
  StoredMigration,
} from './run-facts.js'
import type { NewRun, RunStore } from './run-store.js'
import { KEPT } from './settings-ledger.js'
import { openStateDatabase } from './state-database.js'
import type { MigrationStatus } from './status.js'

/** Where the state is kept when nothing else is said. */
export function defaultStateDir(): string {
  return (
    process.env.FERRITE_MIGRATE_STATE_DIR ??
    join(process.env.XDG_DATA_HOME ?? join(homedir(), '.local', 'share'), 'ferrite-migrate')
  )
}

/** How long a lease lasts that nobody renews. A run renews it every second. */
const LEASE_MS = 15_000

/**
 * Migrations, positions and events in one SQLite file that several processes share. Connection strings are stored
 * redacted; no secret ever gets here.
 */
export class StateStore implements RunStore {
  private readonly db: DatabaseSync

  private readonly actor = currentActor()
  private leases: StatementSync | null = null
  private measured: StatementSync | null = null
  private news: StatementSync | null = null

  /** @throws MigrateError FM_STATE_DIR when the directory cannot be used */
  constructor(directory: string) {
    this.db = openStateDatabase(directory)
  }

  /**
   * Writes the row of a migration that starts, or of one that goes on; gives its epoch.
   * @throws MigrateError FM_ID_TAKEN when another process runs it
   */
  create(row: NewRun): number {
    this.db.exec('BEGIN IMMEDIATE')
    try {
      const known = this.find(row.id)
      const epoch = (known?.epoch ?? 0) + 1
      const holder = currentProcess()
      const now = Date.now()
      if (known !== undefined && !isOver(known))
        throw new MigrateError(
          'FM_ID_TAKEN',
          `the migration ${row.id} is running as process ${known.pid}`,
          `Choose another --id, or stop that process first. One that is gone without a word, on another machine, counts as gone ${LEASE_MS / 1000} s after its last sign of life.`,
        )
      this.db
        .prepare(
          'INSERT OR REPLACE INTO migrations (id, created_at, source, target, mode, pid, heartbeat_at, status, plan, config, facts, epoch, owner, report, metrics, holder, expires_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)',
        )
        .run(
          row.id,
          row.createdAt,
          row.source,
          row.target,
          row.mode,
          holder.pid,
          now,
          JSON.stringify(row.status),
          row.plan,
          row.config,
          JSON.stringify(row.facts),
          epoch,
          row.owner,
          // One that goes on keeps what was found out so far.
          known !== undefined && known.createdAt === row.createdAt ? this.reportOf(row.id) : '',
          known !== undefined && known.createdAt === row.createdAt ? this.metrics(row.id) : '',
          JSON.stringify(holder),
          now + LEASE_MS,
        )
      this.db.exec('COMMIT')
      return epoch
    } catch (error) {
      this.db.exec('ROLLBACK')
      throw error
    }
  }

  withdraw(id: string, owner: string, former: StoredMigration | null): void {
    if (former === null) this.db.prepare('DELETE FROM migrations WHERE id = ? AND owner = ?').run(id, owner)
    else
      this.db
        .prepare('UPDATE migrations SET status = ?, owner = ? WHERE id = ? AND owner = ?')
        .run(JSON.stringify(former.status), former.owner, id, owner)
  }

  private reportOf(id: string): string {
    return String(this.db.prepare('SELECT report FROM migrations WHERE id = ?').get(id)?.report ?? '')
  }

  /** Keeps what is known so far beside the status; nothing is written when another process has taken over. */
  saveReport(id: string, owner: string, report: string): void {
    this.db.prepare('UPDATE migrations SET report = ? WHERE id = ? AND owner = ?').run(report, id, owner)
  }

  /** Keeps what was measured last; nothing is written when another process has taken over. */
  saveMetrics(id: string, owner: string, metrics: string): void {
    this.measured ??= this.db.prepare('UPDATE migrations SET metrics = ? WHERE id = ? AND owner = ?')
    this.measured.run(metrics, id, owner)
  }

  metrics(id: string): string {
    return String(this.db.prepare('SELECT metrics FROM migrations WHERE id = ?').get(id)?.metrics ?? '')
  }

  /** What a page about a migration tells beside its row. */
  details(id: string): StoredDetails {
    const row = this.db.prepare('SELECT plan, report FROM migrations WHERE id = ?').get(id)
    const text = (value: unknown): string | null => (typeof value === 'string' && value.startsWith('{') ? value : null)
    return { plan: text(row?.plan), report: text(row?.report) }
  }

  /** False when another process has taken the migration over; nothing was written then. */
  setFacts(id: string, owner: string, facts: RunFacts): boolean {
    const { changes } = this.db
      .prepare('UPDATE migrations SET facts = ? WHERE id = ? AND owner = ?')
      .run(JSON.stringify(facts), id, owner)
    return Number(changes) > 0
  }

  /** Who may write for a migration now; undefined = there is no such migration any more. */
  lease(id: string): StoredLease | undefined {
    this.leases ??= this.db.prepare('SELECT owner, epoch, heartbeat_at, expires_at FROM migrations WHERE id = ?')
    const row = this.leases.get(id)
    return row === undefined
      ? undefined
      : {
          owner: String(row.owner),
          epoch: Number(row.epoch),
          renewedAt: Number(row.heartbeat_at),
          expiresAt: Number(row.expires_at),
        }
  }

  /** Writes down what is about to be changed at a server; gives the number of the entry. */
  addLoan(loan: Omit<Loan, 'id' | 'at'>): number {
    const { lastInsertRowid } = this.db
      .prepare('INSERT INTO loans (migration, server, what, former, at, owner, identity) VALUES (?, ?, ?, ?, ?, ?, ?)')
      .run(loan.migration, loan.server, loan.what, loan.former, Date.now(), loan.owner, loan.identity)
    return Number(lastInsertRowid)
  }

  /** It is as before. */
  removeLoan(id: number): void {
    this.db.prepare('DELETE FROM loans WHERE id = ?').run(id)
  }

  /** Nobody puts it back by itself. */
  keepLoan(id: number): void {
    this.db.prepare('UPDATE loans SET owner = ? WHERE id = ?').run(KEPT, id)
  }

  /** What is still changed, oldest first: at one server, known by its address or who it is, or for one migration. */
  loans(
    where: { readonly server?: string; readonly identity?: string | undefined; readonly migration?: string } = {},
  ): Loan[] {
    return this.db
      .prepare('SELECT * FROM loans ORDER BY id')
      .all()
      .map(toLoan)
      .filter(
        ({ server, migration, identity }) =>
          (where.server === undefined || where.server === server || (identity !== '' && where.identity === identity)) &&
          (where.migration === undefined || where.migration === migration),
      )
  }

  /** Forgets what a former migration of this name left, before a new one starts under it. */
  clear(id: string): void {
    for (const table of ['positions', 'samples', 'passes'])
      this.db.prepare(`DELETE FROM ${table} WHERE migration = ?`).run(id)
    // Those that wait, and what is scheduled, have files of their own: whoever answers requests removes both.
    this.db.prepare("DELETE FROM requests WHERE migration = ? AND state NOT IN ('open', 'taken')").run(id)
  }

  renew(id: string, owner: string): boolean {
    const now = Date.now()
    const { changes } = this.db
      .prepare('UPDATE migrations SET heartbeat_at = ?, expires_at = ? WHERE id = ? AND owner = ?')
      .run(now, now + LEASE_MS, id, owner)
    return Number(changes) > 0
  }

  /** False when another process has taken the migration over; nothing was written then. */
  save(id: string, owner: string, status: MigrationStatus): boolean {
    const { changes } = this.db
      .prepare('UPDATE migrations SET status = ?, heartbeat_at = ?, expires_at = ? WHERE id = ? AND owner = ?')
      .run(JSON.stringify(status), Date.now(), Date.now() + LEASE_MS, id, owner)
    return Number(changes) > 0
  }

  savePosition(id: string, shard: string, position: string): void {
    this.db.prepare('INSERT OR REPLACE INTO positions VALUES (?, ?, ?, ?)').run(id, shard, position, Date.now())
  }

  positions(id: string): Map<string, string> {
    const rows = this.db.prepare('SELECT shard, position FROM positions WHERE migration = ?').all(id)
    return new Map(rows.map((row) => [String(row.shard), String(row.position)]))
  }

  forgetPositions(id: string): void {
    this.db.prepare('DELETE FROM positions WHERE migration = ?').run(id)
  }

  addEvent(id: string, type: string, text: string, actor = this.actor): void {
    this.db.prepare('INSERT INTO events VALUES (?, ?, ?, ?, ?)').run(id, Date.now(), type, text, actor)
  }

  addSample(id: string, sample: Sample): void {
    this.db
      .prepare('INSERT INTO samples VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)')
      .run(
        id,
        sample.at,
        sample.phase,
        sample.keys,
        sample.changes,
        sample.rate,
        sample.lagKeys,
        sample.lagBytes,
        sample.lagMs,
      )
  }

  /** Keeps every second sample of those older than this; called now and then so that months of following stay small. */
  thinSamples(id: string, before: number): void {
    this.db
      .prepare(
        'DELETE FROM samples WHERE rowid IN (SELECT rowid FROM (SELECT rowid, row_number() OVER (ORDER BY at) AS n FROM samples WHERE migration = ? AND at < ?) WHERE n % 2 = 0)',
      )
      .run(id, before)
  }

  samples(id: string): Sample[] {
    return this.db
      .prepare(
        'SELECT at, phase, keys, changes, rate, lag_keys AS lagKeys, lag_bytes AS lagBytes, lag_ms AS lagMs FROM samples WHERE migration = ? ORDER BY at',
      )
      .all(id)
      .map(toSample)
  }

  addPass(id: string, pass: Omit<Pass, 'number'>): Pass {
    const row = this.db.prepare('SELECT coalesce(max(number), 0) + 1 AS n FROM passes WHERE migration = ?').get(id)
    const number = Number(row?.n)
    this.db
      .prepare('INSERT INTO passes VALUES (?, ?, ?, ?, ?, ?, ?, ?)')
      .run(id, number, pass.startedAt, pass.endedAt, pass.sync, pass.written, pass.deleted, pass.changes)
    return { number, ...pass }
  }

  passes(id: string): Pass[] {
    return this.db
      .prepare(
        'SELECT number, started_at AS startedAt, ended_at AS endedAt, sync, written, deleted, changes FROM passes WHERE migration = ? ORDER BY number',
      )
      .all(id)
      .map(toPass)
  }

  events(id: string): StoredEvent[] {
    return this.eventsAfter(id, 0).map(({ number: _, ...event }) => event)
  }

  /** Those that came after one of that number, oldest first; numbers only grow. @param number 0 = from the first */
  eventsAfter(id: string, number: number): NumberedEvent[] {
    this.news ??= this.db.prepare(
      'SELECT rowid AS number, at, type, text, actor FROM events WHERE migration = ? AND rowid > ? ORDER BY rowid',
    )
    return this.news.all(id, number).map((row) => ({
      ...{ number: Number(row.number), at: Number(row.at), type: String(row.type) },
      ...{ text: String(row.text), actor: String(row.actor) },
    }))
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
        'ferrite-migrate list shows all; another state directory needs --state-dir, and what machines share --queue.',
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

function toLoan(row: Record<string, unknown>): Loan {
  return {
    id: Number(row.id),
    migration: String(row.migration),
    server: String(row.server),
    what: String(row.what),
    former: String(row.former),
    at: Number(row.at),
    owner: String(row.owner),
    identity: String(row.identity),
  }
}

function toMigration(row: Record<string, unknown>): StoredMigration {
  const status = JSON.parse(String(row.status)) as MigrationStatus
  const pid = Number(row.pid)
  const heartbeatAt = Number(row.heartbeat_at)
  const holder = String(row.holder)
  // An older version wrote no more than the pid of a process of this machine.
  const { host } = currentProcess()
  const process = holder === '' ? { pid, host, startedAt: '' } : (JSON.parse(holder) as ProcessIdentity)
  const expired = Date.now() > (Number(row.expires_at) || heartbeatAt + LEASE_MS)
  const died = status.state === 'RUNNING' && (expired || isGone(process))
  return {
    id: String(row.id),
    createdAt: Number(row.created_at),
    source: String(row.source),
    target: String(row.target),
    mode: String(row.mode),
    pid,
    heartbeatAt,
    config: String(row.config),
    facts: JSON.parse(String(row.facts)) as RunFacts,
    epoch: Number(row.epoch),
    owner: String(row.owner),
    status: died ? interrupted(status) : status,
  }
}

/** As its process would have left it, had it been asked to stop. */
function interrupted(status: MigrationStatus): MigrationStatus {
  const unknown = { lagKeys: null, lagBytes: null, lagMs: null, etaMs: null }
  return { ...status, ...unknown, state: 'INTERRUPTED', phase: 'INTERRUPTED', rate: 0, inSync: false, paused: false }
}

function numberOrNull(value: unknown): number | null {
  return value === null ? null : Number(value)
}

function toSample(row: Record<string, unknown>): Sample {
  return {
    at: Number(row.at),
    phase: String(row.phase),
    keys: Number(row.keys),
    changes: Number(row.changes),
    rate: Number(row.rate),
    lagKeys: numberOrNull(row.lagKeys),
    lagBytes: numberOrNull(row.lagBytes),
    lagMs: numberOrNull(row.lagMs),
  }
}

function toPass(row: Record<string, unknown>): Pass {
  return {
    number: Number(row.number),
    startedAt: Number(row.startedAt),
    endedAt: Number(row.endedAt),
    sync: row.sync === 'partial' ? 'partial' : 'full',
    written: Number(row.written),
    deleted: Number(row.deleted),
    changes: Number(row.changes),
  }
}
