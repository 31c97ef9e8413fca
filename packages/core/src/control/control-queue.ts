import { randomUUID } from 'node:crypto'
import { readFileSync, rmSync } from 'node:fs'
import { basename, join } from 'node:path'
import type { DatabaseSync, StatementSync } from 'node:sqlite'
import { writePrivate } from '@ferrite-migrate/files'
import { currentActor } from '../state/actor.js'
import type { ControlRequest, RequestAnswer, RequestKind, Scheduled } from '../state/requests.js'
import { openStateDatabase } from '../state/state-database.js'
import type { RequestChannel } from './request-channel.js'

const SECRET: ReadonlySet<string> = new Set(['hook', 'webhook'])

/** What other processes ask of a running migration, and what it answers: rows of the shared state database. */
export class ControlQueue implements RequestChannel {
  private readonly db: DatabaseSync
  private peek: StatementSync | null = null
  private due: StatementSync | null = null

  private readonly directory: string

  /** @throws MigrateError FM_STATE_DIR */
  constructor(directory: string) {
    this.directory = directory
    this.db = openStateDatabase(directory)
  }

  /** A hook and the address of a webhook may be secrets: they wait in a file of their own, and the database has its name. */
  private hide(args: Readonly<Record<string, unknown>>): string {
    const secret = Object.fromEntries(Object.entries(args).filter(([name]) => SECRET.has(name)))
    if (Object.keys(secret).length === 0) return JSON.stringify(args)
    const file = `ask-${randomUUID()}.json`
    writePrivate(join(this.directory, file), JSON.stringify(secret))
    return JSON.stringify({ ...Object.fromEntries(Object.entries(args).filter(([name]) => !SECRET.has(name))), file })
  }

  /** @throws Error when the file is gone: what was asked for cannot be done as it was asked */
  private shown(text: unknown): Record<string, unknown> {
    const { file, ...args } = JSON.parse(String(text)) as Record<string, unknown>
    if (typeof file !== 'string') return args
    return { ...args, ...(JSON.parse(readFileSync(this.fileOf(file), 'utf8')) as Record<string, unknown>) }
  }

  private fileOf(name: string): string {
    return join(this.directory, basename(name))
  }

  /** Removes the files that rows name. */
  private drop(rows: readonly Record<string, unknown>[]): void {
    for (const row of rows) {
      const { file } = JSON.parse(String(row.args)) as { file?: unknown }
      if (typeof file === 'string') rmSync(this.fileOf(file), { force: true })
    }
  }

  ask(migration: string, kind: RequestKind, args: Readonly<Record<string, unknown>> = {}): number {
    const { lastInsertRowid } = this.db
      .prepare(
        "INSERT INTO requests (migration, kind, args, actor, asked_at, state, answer) VALUES (?, ?, ?, ?, ?, 'open', ?)",
      )
      .run(migration, kind, this.hide(args), currentActor(), Date.now(), JSON.stringify({ steps: [] }))
    return Number(lastInsertRowid)
  }

  get(id: number): ControlRequest | undefined {
    const row = this.db.prepare('SELECT * FROM requests WHERE id = ?').get(id)
    return row === undefined ? undefined : toRequest(row, {})
  }

  /** Takes the oldest open request. Called several times a second: looking comes before writing. */
  take(migration: string): ControlRequest | undefined {
    this.peek ??= this.db.prepare("SELECT min(id) AS id FROM requests WHERE migration = ? AND state = 'open'")
    const id = this.peek.get(migration)?.id
    if (id === null || id === undefined) return undefined
    const row = this.db
      .prepare("UPDATE requests SET state = 'taken' WHERE id = ? AND state = 'open' RETURNING *")
      .get(Number(id))
    if (row === undefined) return undefined
    try {
      const args = this.shown(row.args)
      this.drop([row])
      return toRequest(row, args)
    } catch (cause) {
      // Whoever asked is told, and the next one has its turn.
      this.answer(Number(id), 'failed', {
        steps: [],
        error: {
          code: 'FM_STATE_DIR',
          message: `what was asked for cannot be read: ${(cause as Error).message}`,
          hint: 'Ask once more.',
        },
      })
      return this.take(migration)
    }
  }

  answer(id: number, state: ControlRequest['state'], answer: RequestAnswer): void {
    // What was asked may carry a hook's secret: it is not kept longer than needed.
    this.db
      .prepare("UPDATE requests SET state = ?, answer = ?, args = '{}' WHERE id = ?")
      .run(state, JSON.stringify(answer), id)
  }

  /** Nobody is there any more to answer these. */
  withdraw(id: number): boolean {
    const gone = this.db.prepare("DELETE FROM requests WHERE id = ? AND state = 'open' RETURNING args").all(id)
    this.drop(gone)
    return gone.length > 0
  }

  /** A new process does not answer what was asked of a former one. */
  forgetOpen(migration: string): void {
    this.drop(
      this.db
        .prepare("DELETE FROM requests WHERE migration = ? AND state IN ('open', 'taken') RETURNING args")
        .all(migration),
    )
  }

  schedule(migration: string, at: number, args: Readonly<Record<string, unknown>>): void {
    this.cancel(migration)
    this.db
      .prepare('INSERT OR REPLACE INTO schedules VALUES (?, ?, ?, ?)')
      .run(migration, at, this.hide(args), currentActor())
  }

  scheduled(migration: string): Scheduled | undefined {
    this.due ??= this.db.prepare('SELECT * FROM schedules WHERE migration = ?')
    const row = this.due.get(migration)
    return row === undefined
      ? undefined
      : { at: Number(row.at), args: () => this.shown(row.args), actor: String(row.actor) }
  }

  /** False when nothing was scheduled. */
  cancel(migration: string): boolean {
    const gone = this.db.prepare('DELETE FROM schedules WHERE migration = ? RETURNING args').all(migration)
    this.drop(gone)
    return gone.length > 0
  }

  close(): void {
    this.db.close()
  }
}

function toRequest(row: Record<string, unknown>, args: Readonly<Record<string, unknown>>): ControlRequest {
  return {
    id: Number(row.id),
    migration: String(row.migration),
    kind: String(row.kind) as RequestKind,
    args,
    actor: String(row.actor),
    state: String(row.state) as ControlRequest['state'],
    answer: JSON.parse(String(row.answer)) as RequestAnswer,
  }
}
