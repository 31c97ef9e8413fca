import { MigrateError } from '@ferrite-migrate/contracts'
import type { ShardJob } from '../connection/bull.js'

/** Of the lock, the part within which it must have been renewed for anything to be written. */
const SAFE_SHARE = 0.8
/** How often it is renewed, and how often the clock is looked at, within its time. */
const RENEWALS = 5
const LOOKS = 20

/**
 * The right of this process to run a job, by its own clock: BullMQ's lock, renewed here so that the time of the last renewal is known. As
 * soon as that is too long ago, by either clock, nothing is written any more, whatever the queue would say: another worker may have the
 * shard. A machine that was suspended counts on by the clock on the wall, a clock that is set back by the other one.
 */
export class JobLock {
  private readonly job: ShardJob
  private readonly token: string
  private readonly lockMs: number
  private readonly lost: (error: MigrateError) => void
  private at = { steady: 0, wall: 0 }
  private readonly timers: NodeJS.Timeout[] = []
  private failure: MigrateError | null = null

  /** @param lost called once, as soon as nothing may be written any more */
  constructor(job: ShardJob, token: string, lockMs: number, lost: (error: MigrateError) => void) {
    this.job = job
    this.token = token
    this.lockMs = lockMs
    this.lost = lost
  }

  /** @throws MigrateError FM_RUN_TAKEN when it is another's already */
  async begin(): Promise<void> {
    if (!(await this.renew())) throw this.lose('the queue has given it to another one')
    this.timers.push(
      setInterval(() => void this.tick(), this.lockMs / RENEWALS),
      setInterval(() => this.look(), this.lockMs / LOOKS),
    )
  }

  end(): void {
    for (const timer of this.timers.splice(0)) clearInterval(timer)
  }

  /** Nothing is written from now on, although the queue has nothing against it. */
  giveUp(why: string): void {
    this.lose(why)
  }

  /** Asked before each batch. @throws MigrateError FM_RUN_TAKEN */
  check(): void {
    if (this.failure !== null) throw this.failure
    const age = Math.max(performance.now() - this.at.steady, Date.now() - this.at.wall)
    if (age >= this.lockMs * SAFE_SHARE)
      throw this.lose(`the queue has not confirmed it for ${(age / 1000).toFixed(1)} s of ${this.lockMs / 1000}`)
  }

  /** Also while nothing is written, and no renewal is answered. */
  private look(): void {
    try {
      this.check()
    } catch {
      // Whoever waits for it has been told.
    }
  }

  private async tick(): Promise<void> {
    try {
      if (!(await this.renew())) this.lose('the queue has given it to another one')
    } catch {
      // A queue that is away for a moment says nothing: the clock does.
    }
  }

  private async renew(): Promise<boolean> {
    // What counts is when it was asked: the answer may have been long on its way.
    const at = { steady: performance.now(), wall: Date.now() }
    const renewed = await this.job.extendLock(this.token, this.lockMs)
    if (Number(renewed) !== 1) return false
    this.at = at
    return true
  }

  private lose(why: string): MigrateError {
    if (this.failure !== null) return this.failure
    this.end()
    this.failure = new MigrateError(
      'FM_RUN_TAKEN',
      `the shard ${this.job.data.shard} of the migration ${this.job.data.migration} is not this worker's any more: ${why}`,
      'Another worker goes on from its checkpoint; nothing more is written here.',
    )
    this.lost(this.failure)
    return this.failure
  }
}
