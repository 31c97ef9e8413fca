import { type Finding, MigrateError, printable, type RunClaim } from '@ferrite-migrate/contracts'
import type { Reply } from '@ferrite-migrate/protocol'
import { parseRunning, RUNNING_KEY, type RunningEntry, runningEntry } from '@ferrite-migrate/redis'

/** A migration that has not written its sign of life for so long does not run, ms. */
const RUNNING_MS = 60_000

/** One command in database 0, where its answer is a value. @throws what an error reply means */
export type Ask = (...argv: (string | Buffer)[]) => Promise<Reply>

/** What a target is told of who writes there: one field of a hash for each migration. */
export class RunNote {
  private readonly label: string
  private readonly ask: Ask
  private claimed: ({ readonly migration: string } & RunClaim) | null = null

  constructor(label: string, ask: Ask) {
    this.label = label
    this.ask = ask
  }

  /** Other migrations that write here now, for whoever looks before a run. @param own the one that asks */
  async findings(own: string | undefined): Promise<Finding[]> {
    // Workers that each write a shard have entries below that of their migration.
    const others = [...new Set((await this.running()).map(([id]) => id.split('/')[0]))]
      .filter((id) => id !== own)
      .map((id) => printable(id.slice(0, 100)))
    if (others.length === 0) return []
    const text = `${others.length === 1 ? 'the migration' : 'the migrations'} ${others.slice(0, 5).join(', ')}${others.length > 5 ? ', …' : ''} ${others.length === 1 ? 'writes' : 'write'} to the target now: of keys of the same name the last write stays, and one that brings the same changes is refused`
    return [{ level: 'warn', code: 'target-written', text }]
  }

  /** @throws MigrateError FM_ID_TAKEN, FM_TARGET_TAKEN */
  async claim(migration: string, claim: RunClaim): Promise<void> {
    for (const [id, since] of await this.running()) {
      if (since.owner === claim.owner || since.owner === claim.former || id.startsWith(`${migration}/`)) continue
      if (id === migration)
        throw new MigrateError(
          'FM_ID_TAKEN',
          `a process that this state directory does not know runs the migration ${id} into ${this.label}`,
          'Look for it on other machines and in other state directories. Where it has died, wait a minute, or choose another --id.',
        )
      if (claim.copies !== undefined && since.copies === claim.copies)
        throw new MigrateError(
          'FM_TARGET_TAKEN',
          `the migration ${id} brings the same changes from the same source to ${this.label} now: each would be made twice`,
          'Stop one of the two. Where it has died, go on with it by --resume, or wait a minute.',
        )
    }
    this.claimed = { migration, ...claim }
    await this.write()
  }

  /** @throws MigrateError FM_RUN_TAKEN */
  async beat(): Promise<void> {
    if (this.claimed === null) return
    await this.admit(this.ask)
    await this.write()
  }

  async release(migration: string): Promise<void> {
    if (this.claimed === null) return
    this.claimed = null
    await this.ask('HDEL', RUNNING_KEY, migration)
  }

  /** Whoever opens a connection may have stood still for long: is it still its turn? @throws MigrateError FM_RUN_TAKEN */
  async admit(ask: Ask): Promise<void> {
    if (this.claimed === null) return
    const { migration, owner } = this.claimed
    const found = await ask('HGET', RUNNING_KEY, migration)
    // A target that was emptied knows no owner; the state of the migration has been asked by then.
    const since = Buffer.isBuffer(found) ? parseRunning(found.toString('latin1')) : null
    if (since !== null && since.owner !== owner)
      throw new MigrateError(
        'FM_RUN_TAKEN',
        `another process has taken the migration ${migration} over`,
        'Nothing more is written here; status shows the process that goes on.',
      )
  }

  /** By id, those whose sign of life is fresh. */
  private async running(): Promise<[string, RunningEntry][]> {
    const entries = await this.ask('HGETALL', RUNNING_KEY)
    const list = Array.isArray(entries) ? entries : []
    const found: [string, RunningEntry][] = []
    for (let i = 0; i + 1 < list.length; i += 2) {
      const since = parseRunning(String(list[i + 1]))
      if (since !== null && since.until > Date.now()) found.push([String(list[i]), since])
    }
    return found
  }

  private async write(): Promise<void> {
    if (this.claimed === null) return
    const { migration, epoch, owner, copies } = this.claimed
    const until = Date.now() + RUNNING_MS
    await this.ask('HSET', RUNNING_KEY, migration, runningEntry({ epoch, owner, until, copies }))
  }
}
