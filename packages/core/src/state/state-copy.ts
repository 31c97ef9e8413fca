import type { DatabaseSync, SQLInputValue } from 'node:sqlite'
import type { RequestAnswer } from './requests.js'
import type { Loan } from './run-facts.js'
import { openStateDatabase } from './state-database.js'

/** A row of a table as plain values. */
export type PlainRow = Readonly<Record<string, string | number | null>>

/** Tables that hold something of one migration and are carried whole, since they are small. */
const SMALL_TABLES = ['positions', 'passes', 'loans', 'schedules'] as const
/** No machine is called so: nobody looks for a process there. */
const ELSEWHERE = 'queue'
type SmallTable = (typeof SMALL_TABLES)[number]

/** All of a migration but its events and samples. */
export interface CopiedRun {
  readonly row: PlainRow
  readonly tables: Readonly<Record<SmallTable, readonly PlainRow[]>>
}

/** A request that waits in a state directory to be carried to another. */
export interface WaitingRequest {
  readonly id: number
  readonly migration: string
  readonly kind: string
  /** As JSON; names the file of its secret part, where it has one. */
  readonly args: string
  readonly actor: string
  readonly askedAt: number
}

/** Takes migrations out of a state directory as plain rows, and puts them into one: what keeps the directories of several machines equal. */
export class StateCopy {
  private readonly db: DatabaseSync

  /** @throws MigrateError FM_STATE_DIR */
  constructor(directory: string) {
    this.db = openStateDatabase(directory)
  }

  run(id: string): CopiedRun | null {
    const row = this.db.prepare('SELECT * FROM migrations WHERE id = ?').get(id)
    if (row === undefined) return null
    const of = (table: SmallTable): PlainRow[] =>
      this.db.prepare(`SELECT * FROM ${table} WHERE migration = ?`).all(id).map(plainRow)
    return {
      row: plainRow(row),
      tables: { positions: of('positions'), passes: of('passes'), loans: of('loans'), schedules: of('schedules') },
    }
  }

  /**
   * Makes a migration what it is elsewhere.
   * @param expiresAt until when somebody is known to work on it, ms
   */
  putRun(id: string, { row, tables }: CopiedRun, expiresAt: number): void {
    this.inOne(() => {
      // Whether somebody works on it is told by that time alone: workers may go on after the process of the row has died.
      const holder = JSON.stringify({ pid: row.pid, host: ELSEWHERE, startedAt: '' })
      this.insert('migrations', { ...row, holder, expires_at: expiresAt })
      for (const table of SMALL_TABLES) {
        this.db.prepare(`DELETE FROM ${table} WHERE migration = ?`).run(id)
        for (const one of tables[table] ?? []) this.insert(table, one)
      }
    })
  }

  /** Nobody works on it any more. */
  expire(id: string): void {
    this.db.prepare('UPDATE migrations SET expires_at = 1 WHERE id = ?').run(id)
  }

  /** Who holds the row; undefined = there is none. */
  holder(id: string): { readonly owner: string; readonly heartbeatAt: number } | undefined {
    const row = this.db.prepare('SELECT owner, heartbeat_at FROM migrations WHERE id = ?').get(id)
    return row && { owner: String(row.owner), heartbeatAt: Number(row.heartbeat_at) }
  }

  /** Another process has taken it over: whoever holds it here finds that out. */
  giveAway(id: string, owner: string): void {
    this.db.prepare('UPDATE migrations SET owner = ? WHERE id = ?').run(owner, id)
  }

  ids(): string[] {
    return this.db
      .prepare('SELECT id FROM migrations')
      .all()
      .map(({ id }) => String(id))
  }

  eventCount(id: string): number {
    return Number(this.db.prepare('SELECT count(*) AS n FROM events WHERE migration = ?').get(id)?.n ?? 0)
  }

  /** Events but for the first so many, oldest first. */
  eventsFrom(id: string, first: number): PlainRow[] {
    return this.db
      .prepare('SELECT * FROM events WHERE migration = ? ORDER BY rowid LIMIT -1 OFFSET ?')
      .all(id, first)
      .map(plainRow)
  }

  /** @param first how many there are before these; nothing is added where others have come meanwhile */
  putEvents(id: string, first: number, events: readonly PlainRow[]): void {
    if (events.length === 0) return
    this.inOne(() => {
      if (this.eventCount(id) !== first) return
      for (const event of events) this.insert('events', event)
    })
  }

  /** When the last sample was taken, ms; 0 = there is none. */
  lastSample(id: string): number {
    return Number(this.db.prepare('SELECT max(at) AS at FROM samples WHERE migration = ?').get(id)?.at ?? 0)
  }

  samplesAfter(id: string, at: number): PlainRow[] {
    return this.db.prepare('SELECT * FROM samples WHERE migration = ? AND at > ? ORDER BY at').all(id, at).map(plainRow)
  }

  putSamples(id: string, samples: readonly PlainRow[]): void {
    this.inOne(() => {
      const last = this.lastSample(id)
      for (const sample of samples) if (Number(sample.at) > last) this.insert('samples', sample)
    })
  }

  /** Forgets everything of a migration. */
  drop(id: string): void {
    this.inOne(() => {
      this.db.prepare('DELETE FROM migrations WHERE id = ?').run(id)
      for (const table of [...SMALL_TABLES, 'events', 'samples'])
        this.db.prepare(`DELETE FROM ${table} WHERE migration = ?`).run(id)
    })
  }

  /** What a machine that is lost has left changed at a server: whoever uses that server next puts it back. */
  putLoan(loan: Omit<Loan, 'id'>): void {
    this.insert('loans', { ...loan })
  }

  /** Requests that nobody has taken. */
  openRequests(): WaitingRequest[] {
    return this.db
      .prepare("SELECT id, migration, kind, args, actor, asked_at FROM requests WHERE state = 'open' ORDER BY id")
      .all()
      .map((row) => ({
        ...{ id: Number(row.id), migration: String(row.migration), kind: String(row.kind), args: String(row.args) },
        ...{ actor: String(row.actor), askedAt: Number(row.asked_at) },
      }))
  }

  /** Puts a request here that was asked elsewhere; gives its number. */
  putRequest(request: Omit<WaitingRequest, 'id'>): number {
    const { migration, kind, args, actor, askedAt } = request
    const { lastInsertRowid } = this.db
      .prepare(
        "INSERT INTO requests (migration, kind, args, actor, asked_at, state, answer) VALUES (?, ?, ?, ?, ?, 'open', ?)",
      )
      .run(migration, kind, args, actor, askedAt, JSON.stringify({ steps: [] } satisfies RequestAnswer))
    return Number(lastInsertRowid)
  }

  /** What has come of a request, its answer as JSON; undefined = it was withdrawn. */
  answer(id: number): { readonly state: string; readonly answer: string } | undefined {
    const row = this.db.prepare('SELECT state, answer FROM requests WHERE id = ?').get(id)
    return row && { state: String(row.state), answer: String(row.answer) }
  }

  putAnswer(id: number, state: string, answer: string): void {
    this.db.prepare("UPDATE requests SET state = ?, answer = ?, args = '{}' WHERE id = ?").run(state, answer, id)
  }

  close(): void {
    this.db.close()
  }

  private insert(table: string, row: PlainRow): void {
    const names = Object.keys(row).filter((name) => /^[a-z_]+$/.test(name))
    // Numbers of rows are each directory's own.
    const kept = table === 'loans' ? names.filter((name) => name !== 'id') : names
    const values = kept.map((name): SQLInputValue => row[name])
    this.db
      .prepare(`INSERT OR REPLACE INTO ${table} (${kept.join(', ')}) VALUES (${kept.map(() => '?').join(', ')})`)
      .run(...values)
  }

  private inOne(work: () => void): void {
    this.db.exec('BEGIN IMMEDIATE')
    try {
      work()
      this.db.exec('COMMIT')
    } catch (error) {
      this.db.exec('ROLLBACK')
      throw error
    }
  }
}

function plainRow(row: Record<string, unknown>): PlainRow {
  return Object.fromEntries(
    Object.entries(row).map(([name, value]) => [
      name,
      typeof value === 'number' || typeof value === 'string' ? value : value === null ? null : Number(value),
    ]),
  )
}
