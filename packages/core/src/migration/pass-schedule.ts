import { MigrateError } from '@ferrite-migrate/contracts'
import { Cron } from 'croner'

/** When the next pass of an incremental migration starts. */
export class PassSchedule {
  private readonly intervalMs: number | undefined
  private readonly cron: Cron | null

  /** @throws MigrateError FM_CONFIG_INVALID on a bad cron expression */
  constructor(intervalMs: number | undefined, expression: string | undefined) {
    this.intervalMs = intervalMs
    try {
      this.cron = expression === undefined ? null : new Cron(expression, { paused: true })
    } catch (cause) {
      throw new MigrateError(
        'FM_CONFIG_INVALID',
        `schedule: "${expression?.slice(0, 60)}" is no cron expression: ${(cause as Error).message}`,
        'Write for instance "0 * * * *" for every hour.',
        { cause },
      )
    }
  }

  /** Absolute ms; passes that would have started while one was running are left out. */
  next(startedAt: number, now: number): number {
    if (this.cron !== null) return this.cron.nextRun(new Date(now))?.getTime() ?? Number.POSITIVE_INFINITY
    const interval = this.intervalMs ?? DEFAULT_MS
    return startedAt + Math.max(1, Math.ceil((now - startedAt) / interval)) * interval
  }
}

const DEFAULT_MS = 15 * 60_000
