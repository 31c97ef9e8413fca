import type { Logger, MigrateError, Position, Source } from '@ferrite-migrate/contracts'
import type { ResolvedConfig } from '../config/config.js'
import { redactUrl } from '../config/secrets.js'
import type { Plan } from '../ends/plan.js'
import type { Gate } from '../engine/lanes/gate.js'
import { Progress } from '../engine/progress/progress.js'
import { ShardTally } from '../metrics/shard-tally.js'
import type { Notifier } from '../report/notifier.js'
import type { MigrationStatus, Phase, RunState } from '../state/status.js'
import type { RunRecord } from './run-record.js'

/** Who is told what happens. */
export interface RunListener {
  progress(status: MigrationStatus): void
  phase(phase: Phase): void
  note(note: RunNote): void
}

export interface RunNote {
  readonly type: string
  readonly text: string
}

/** What a status is made of beside the counts. */
export interface RunStatusNeeds {
  readonly id: string
  readonly config: ResolvedConfig
  readonly gate: Gate
  readonly notifier: Notifier
  readonly logger: Logger
  readonly listener: RunListener
}

/** A target that is this close follows the source. */
const IN_SYNC_MS = 1000

/** Where a run stands, what was said of it, and how far it got; written into its row. */
export class RunStatus {
  readonly progress = new Progress()
  /** What the shards have told, counted. */
  readonly tally = new ShardTally()
  /** The last durable position of each shard. */
  readonly applied = new Map<string, Position>()
  readonly notes: RunNote[] = []
  startedAt = Date.now()
  phase: Phase = 'PREFLIGHT'
  state: RunState = 'RUNNING'
  error: MigrateError | null = null
  plan: Plan | null = null
  source: Source | null = null
  record: RunRecord | null = null
  /** When a cutover is scheduled, ms. */
  cutoverAt: () => number | null = () => null
  /** A cutover is under way: that the target follows again afterwards is no news. */
  cuttingOver = false
  private readonly needs: RunStatusNeeds

  constructor(needs: RunStatusNeeds) {
    this.needs = needs
  }

  now(): MigrationStatus {
    const { progress } = this
    const { id, config, gate } = this.needs
    const running = this.state === 'RUNNING'
    // How far one is behind that is over is no question any more.
    const lag = running ? progress.lag : {}
    const live = this.phase !== 'INITIAL_SYNC' && this.phase !== 'PREFLIGHT'
    return {
      id,
      state: this.state,
      phase: this.phase,
      source: redactUrl(config.source),
      target: redactUrl(config.target),
      mode: config.mode,
      capture: this.source?.description.capture ?? '',
      apply: this.plan?.apply ?? '',
      startedAt: this.startedAt,
      updatedAt: Date.now(),
      ...progress.totals(),
      rate: running ? progress.rate : 0,
      lagKeys: lag.keys ?? null,
      lagBytes: lag.bytes ?? null,
      lagMs: lag.ms ?? null,
      spoolBytes: lag.spooledBytes ?? 0,
      inSync: this.inSync,
      etaMs: gate.paused || !running ? null : this.inSync ? 0 : progress.etaMs(live),
      paused: gate.paused,
      cutoverAt: this.cutoverAt(),
      diverging: progress.diverging,
      error: this.error && { code: this.error.code, message: this.error.message, hint: this.error.hint },
    }
  }

  /** So little is behind that nobody waits for it. */
  private get inSync(): boolean {
    const { progress } = this
    const { lag, diverging } = progress
    const { gate, config } = this.needs
    if (this.phase !== 'LIVE_SYNC' || diverging || gate.paused || (lag.unsettled ?? 0) > 0) return false
    if (lag.keys === undefined && lag.bytes === undefined) return false
    const keys = lag.keys ?? 0
    if (lag.ms === undefined) return keys <= config.cutoverMaxLag
    // Just after a start the changes that wait at the source have no age yet: they count as near when a second is enough for them.
    const near = Math.max(config.cutoverMaxLag, progress.rate * (IN_SYNC_MS / 1000))
    return lag.keys === 0 || (lag.ms < IN_SYNC_MS && keys <= near)
  }

  enter(phase: Phase): void {
    if (phase === this.phase) return
    if (this.phase === 'STOPPING' && (phase === 'INITIAL_SYNC' || phase === 'LIVE_SYNC')) return
    this.phase = phase
    this.record?.event('phase', phase)
    this.needs.listener.phase(phase)
    if (phase === 'LIVE_SYNC' && !this.cuttingOver && this.source?.capabilities.kind !== 'file')
      this.send('live', 'the target follows the source')
    this.save()
  }

  note(type: string, text: string): void {
    this.notes.push({ type, text })
    this.record?.event(type, text)
    this.needs.logger.log('info', text, { type })
    this.needs.listener.note({ type, text })
  }

  /** Tells those who want to be told. */
  send(event: Parameters<Notifier['send']>[0], text: string): void {
    this.needs.notifier.send(event, text, this.now())
  }

  save(): void {
    this.record?.save(this.now(), this.applied)
  }

  /** The run is over. */
  end(state: Exclude<RunState, 'RUNNING'>): void {
    this.state = state
    this.enter(state)
    if (this.error) this.record?.event('failed', `${this.error.code} ${this.error.message}`)
    this.progress.sample(Date.now())
    this.save()
  }

  /** Tells those who want to be told how it ended. */
  tellEnd(): void {
    if (this.state === 'COMPLETED') this.send('completed', 'completed')
    else if (this.state === 'INTERRUPTED') this.send('interrupted', 'stopped; it can go on')
    else {
      this.send('failed', `${this.error?.code} ${this.error?.message}`)
      if (this.state === 'ROLLED_BACK') this.send('rolled-back', 'the target is as it was before')
    }
  }
}
