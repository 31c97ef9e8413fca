import { setTimeout as sleep } from 'node:timers/promises'
import { counted, type Logger, type Position, type Target } from '@ferrite-migrate/contracts'
import type { ResolvedConfig } from '../config/config.js'
import { worstLag } from '../engine/progress/worst-lag.js'
import type { ShardLag } from '../engine/running-shards.js'
import { LagAlarm } from './lag-alarm.js'
import type { RunSignals } from './run-signals.js'
import type { RunListener, RunStatus } from './run-status.js'

const TICK_MS = 1000
/** How long the source may take to tell the lag before it counts as unknown. */
const LAG_MS = 2000
/** Seconds between two signs of life at the target. */
const BEAT_TICKS = 10

/** What the pulse of a run looks at and whom it tells. */
export interface RunPulseNeeds {
  readonly config: ResolvedConfig
  readonly status: RunStatus
  readonly signals: RunSignals
  readonly logger: Logger
  readonly listener: RunListener
  target(): Target | null
  lags(applied: ReadonlyMap<string, Position>): readonly ShardLag[]
  /** Keeps what `report` shows of a run that is killed. */
  keepReport(): void
  /** Keeps what other processes see measured. */
  keepMetrics(): void
}

/** The signs of life that a run gives once a second: its row, its lag, its claim at the target. */
export class RunPulse {
  private readonly needs: RunPulseNeeds
  private readonly alarm: LagAlarm
  private reading: Promise<void> | null = null
  private timer: NodeJS.Timeout | null = null
  private ticks = 0

  constructor(needs: RunPulseNeeds) {
    this.needs = needs
    this.alarm = new LagAlarm(needs.config.notifications.lagAlarm)
  }

  start(): void {
    this.timer = setInterval(() => this.tick(), TICK_MS)
  }

  stop(): void {
    if (this.timer !== null) clearInterval(this.timer)
  }

  /** Asks the source how far behind the target is; what it does not answer is not known, whatever was known before. */
  readLag(): Promise<void> {
    this.reading ??= this.askLag().finally(() => {
      this.reading = null
    })
    return this.reading
  }

  private async askLag(): Promise<void> {
    const { status } = this.needs
    const asked = this.needs.lags(status.applied)
    const answers = await Promise.allSettled(asked.map(({ lag }) => lag))
    const lags = answers.map((answer) => (answer.status === 'fulfilled' ? answer.value : null))
    for (const [i, { shard }] of asked.entries()) status.tally.lags.set(shard, lags[i] ?? {})
    status.progress.lag = worstLag(lags)
  }

  private tick(): void {
    this.beat()
    if (++this.ticks % BEAT_TICKS === 0) {
      void this.needs
        .target()
        ?.beat?.()
        .catch((error: { code?: string }) => this.notice(error))
      this.needs.keepReport()
    }
    void this.lookAtLag()
  }

  /** Tells other processes that this one is alive, whatever the servers do. */
  private beat(): void {
    const { status, logger, signals } = this.needs
    try {
      status.record?.lease.check()
      status.record?.sample(status.phase, status.progress)
      status.save()
    } catch (error) {
      logger.log('error', (error as Error).message)
      signals.abort()
    }
  }

  /** The target says that another process writes for this migration now. */
  private notice({ code }: { code?: string }): void {
    if (code !== 'FM_RUN_TAKEN') return
    try {
      this.needs.status.record?.lease.lose()
    } catch {
      // The next batch says it.
    }
  }

  private async lookAtLag(): Promise<void> {
    const { status, listener } = this.needs
    const answered = await Promise.race([this.readLag().then(() => true), sleep(LAG_MS, false, { ref: false })])
    if (!answered) {
      status.progress.lag = {}
      status.tally.lags.clear()
    }
    status.progress.sample(Date.now())
    this.lookForAlarm()
    this.needs.keepMetrics()
    listener.progress(status.now())
  }

  private lookForAlarm(): void {
    const { status, config } = this.needs
    const keys = status.progress.lag.keys ?? 0
    if (status.phase !== 'LIVE_SYNC' || !this.alarm.passed(keys)) return
    const text = `${counted(keys, 'key is', 'keys are')} behind, more than ${config.notifications.lagAlarm}`
    status.note('lag-alarm', text)
    status.send('lag-alarm', text)
  }
}
