import type { DatabaseSync, StatementSync } from 'node:sqlite'
import { currentActor } from './actor.js'
import { openStateDatabase } from './state-database.js'

export type RequestKind = 'pause' | 'resume' | 'stop' | 'cutover' | 'verify'

/** One step that a request takes, shown to who asked as it happens. */
export interface RequestStep {
  readonly at: number
  readonly name: string
  readonly text: string
}

export interface RequestAnswer {
  readonly steps: readonly RequestStep[]
  /** What came of it, once it is over. */
  readonly result?: Readonly<Record<string, unknown>>
  readonly error?: { readonly code: string; readonly message: string; readonly hint: string }
}

export interface ControlRequest {
  readonly id: number
  readonly migration: string
  readonly kind: RequestKind
  readonly args: Readonly<Record<string, unknown>>
  readonly actor: string
  readonly state: 'open' | 'taken' | 'done' | 'failed'
  readonly answer: RequestAnswer
}

export interface Scheduled {
  readonly at: number
  readonly args: Readonly<Record<string, unknown>>
  readonly actor: string
}

/** What other processes ask of a running migration, and what it answers: rows of the shared state database. */
export class ControlQueue {
  private readonly db: DatabaseSync
  private peek: StatementSync | null = null
  private due: StatementSync | null = null

  /** @throws MigrateError FM_STATE_DIR */
  constructor(directory: string) {
    this.db = openStateDatabase(directory)
  }

  ask(migration: string, kind: RequestKind, args: Readonly<Record<string, unknown>> = {}): number {
    const { lastInsertRowid } = this.db
      .prepare(
        "INSERT INTO requests (migration, kind, args, actor, asked_at, state, answer) VALUES (?, ?, ?, ?, ?, 'open', ?)",
      )
      .run(migration, kind, JSON.stringify(args), currentActor(), Date.now(), JSON.stringify({ steps: [] }))
    return Number(lastInsertRowid)
  }

  get(id: number): ControlRequest | undefined {
    const row = this.db.prepare('SELECT * FROM requests WHERE id = ?').get(id)
    return row === undefined ? undefined : toRequest(row)
  }

  /** Takes the oldest open request. Called several times a second: looking comes before writing. */
  take(migration: string): ControlRequest | undefined {
    this.peek ??= this.db.prepare("SELECT min(id) AS id FROM requests WHERE migration = ? AND state = 'open'")
    const id = this.peek.get(migration)?.id
    if (id === null || id === undefined) return undefined
    const row = this.db
      .prepare("UPDATE requests SET state = 'taken' WHERE id = ? AND state = 'open' RETURNING *")
      .get(Number(id))
    return row === undefined ? undefined : toRequest(row)
  }

  answer(id: number, state: ControlRequest['state'], answer: RequestAnswer): void {
    // What was asked may carry a hook's secret: it is not kept longer than needed.
    this.db
      .prepare("UPDATE requests SET state = ?, answer = ?, args = '{}' WHERE id = ?")
      .run(state, JSON.stringify(answer), id)
  }

  /** Nobody is there any more to answer these. */
  withdraw(id: number): boolean {
    return Number(this.db.prepare("DELETE FROM requests WHERE id = ? AND state = 'open'").run(id).changes) > 0
  }

  /** A new process does not answer what was asked of a former one. */
  forgetOpen(migration: string): void {
    this.db.prepare("DELETE FROM requests WHERE migration = ? AND state IN ('open', 'taken')").run(migration)
  }

  schedule(migration: string, at: number, args: Readonly<Record<string, unknown>>): void {
    this.db
      .prepare('INSERT OR REPLACE INTO schedules VALUES (?, ?, ?, ?)')
      .run(migration, at, JSON.stringify(args), currentActor())
  }

  scheduled(migration: string): Scheduled | undefined {
    this.due ??= this.db.prepare('SELECT * FROM schedules WHERE migration = ?')
    const row = this.due.get(migration)
    return row === undefined
      ? undefined
      : { at: Number(row.at), args: JSON.parse(String(row.args)) as Record<string, unknown>, actor: String(row.actor) }
  }

  /** False when nothing was scheduled. */
  cancel(migration: string): boolean {
    return Number(this.db.prepare('DELETE FROM schedules WHERE migration = ?').run(migration).changes) > 0
  }

  close(): void {
    this.db.close()
  }
}

function toRequest(row: Record<string, unknown>): ControlRequest {
  return {
    id: Number(row.id),
    migration: String(row.migration),
    kind: String(row.kind) as RequestKind,
    args: JSON.parse(String(row.args)) as Record<string, unknown>,
    actor: String(row.actor),
    state: String(row.state) as ControlRequest['state'],
    answer: JSON.parse(String(row.answer)) as RequestAnswer,
  }
}
