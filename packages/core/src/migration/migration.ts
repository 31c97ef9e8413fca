import { randomBytes } from 'node:crypto'
import { EventEmitter } from 'node:events'
import { type Logger, MigrateError, type RunClaim } from '@ferrite-migrate/contracts'
import type { Registry } from '../adapters/registry.js'
import { type MigrationConfig, type ResolvedConfig, resolveConfig } from '../config/config.js'
import { silentLogger } from '../config/logger.js'
import { ControlQueue } from '../control/control-queue.js'
import type { RequestChannel } from '../control/request-channel.js'
import { RequestServer } from '../control/request-server.js'
import type { CutoverResult } from '../cutover/cutover.js'
import type { CutoverOptions } from '../cutover/cutover-options.js'
import { type Plan, refuseUnfit } from '../ends/plan.js'
import type { Gate } from '../engine/lanes/gate.js'
import { type MetricSample, storedMetrics } from '../metrics/metric.js'
import { measure } from '../metrics/metrics-table.js'
import type { Notifier } from '../report/notifier.js'
import type { RequestStep } from '../state/requests.js'
import type { RunStore } from '../state/run-store.js'
import { defaultStateDir, StateStore } from '../state/state-store.js'
import type { MigrationStatus, Phase, RunState } from '../state/status.js'
import type { CompareProgress } from '../verify/compare-progress.js'
import type { VerifyReport } from '../verify/verify-report.js'
import type { CreateRunner, Runner } from '../workers/runner.js'
import type { LiveCutover } from './live-cutover.js'
import { type MigrationReport, migrationReport } from './migration-report.js'
import type { Passes } from './passes.js'
import type { RunComparison } from './run-comparison.js'
import type { RunEnds } from './run-ends.js'
import type { RunFailure } from './run-failure.js'
import { runParts } from './run-parts.js'
import type { RunPulse } from './run-pulse.js'
import { RunRecord } from './run-record.js'
import type { RunSignals } from './run-signals.js'
import type { RunStatus } from './run-status.js'
import { storedReport } from './stored-report.js'

export interface MigrationOptions {
  /** The adapters to choose from. */
  readonly registry: Registry
  readonly logger?: Logger
  /** Opens what outlives the process. Default: the SQLite file of the state directory. */
  readonly store?: (directory: string) => RunStore
  /** Opens the way on which other processes ask. Default: a table of the same file. */
  readonly channel?: (directory: string) => RequestChannel
}

const CONTROL_MS = 200
/** What a target answers that lets nobody begin there: nothing is noted at it then. */
const REFUSED_CLAIM = new Set(['FM_ID_TAKEN', 'FM_TARGET_TAKEN'])

interface Events {
  progress: [MigrationStatus]
  phase: [Phase]
  note: [{ type: string; text: string }]
  verify: [CompareProgress]
  step: [RequestStep]
}

/**
 * One migration. `start` runs it to its end and gives the report; `stop` ends it gracefully: what was read is written
 * and checkpointed. With the id of an interrupted migration it goes on where that one was. Events: `progress` (about
 * once a second), `phase`, `note`, `verify`, `step` (of a cutover).
 */
export class Migration extends EventEmitter<Events> {
  readonly id: string
  private readonly logger: Logger
  private readonly options: Required<Pick<MigrationOptions, 'store' | 'channel'>>
  private readonly gate: Gate
  private readonly notifier: Notifier
  private readonly signals: RunSignals
  private readonly current: RunStatus
  private readonly ends: RunEnds
  private readonly pulse: RunPulse
  private readonly comparison: RunComparison
  private readonly live: LiveCutover
  private readonly passes: Passes
  private readonly failure: RunFailure
  private requests: RequestServer | null = null
  private runner: Runner | null = null
  private readonly registry: Registry
  private left = false
  private enrolled = false
  private undoable = false

  /** @throws MigrateError FM_CONFIG_INVALID */
  constructor(config: MigrationConfig, options: MigrationOptions) {
    super()
    const resolved = resolveConfig(config)
    this.id = resolved.id ?? `mig_${randomBytes(4).toString('hex')}`
    this.logger = options.logger ?? silentLogger
    this.options = {
      store: options.store ?? ((directory) => new StateStore(directory)),
      channel: options.channel ?? ((directory) => new ControlQueue(directory)),
    }
    this.registry = options.registry.only(resolved.allowPlugins)
    const parts = runParts({
      ...{ id: this.id, config: resolved, registry: this.registry, logger: this.logger },
      listener: {
        progress: (status) => this.emit('progress', status),
        phase: (phase) => this.emit('phase', phase),
        note: (note) => this.emit('note', note),
        verify: (progress) => this.emit('verify', progress),
        step: (step) => this.emit('step', step),
      },
      directory: () => this.directory,
      runner: () => this.runner,
      keepReport: () => this.keepReport(),
      keepMetrics: () => this.keepMetrics(),
    })
    this.gate = parts.gate
    this.notifier = parts.notifier
    this.signals = parts.signals
    this.current = parts.current
    this.ends = parts.ends
    this.pulse = parts.pulse
    this.comparison = parts.comparison
    this.live = parts.live
    this.passes = parts.passes
    this.failure = parts.failure
  }

  /** Completed, once both ends are open, by what their addresses name. */
  get config(): ResolvedConfig {
    return this.ends.config
  }

  status(): MigrationStatus {
    return this.current.now()
  }

  /** The values of all metrics (METRICS) now; cheap enough to be asked every second. */
  metrics(): MetricSample[] {
    const { progress, tally } = this.current
    const { comparison, live, passes } = this
    return measure({
      ...{ status: this.status(), progress, tally, plan: this.current.plan },
      ...{ verification: comparison.result, cutover: live.result, underWay: passes.engine?.batchesUnderWay ?? null },
    })
  }

  /** True once it has a row of its own, so that there is something to report, to go on with and to take back. */
  get began(): boolean {
    return this.enrolled
  }

  /** Keys behind; null = unknown. */
  get lag(): number | null {
    return this.current.progress.lag.keys ?? null
  }

  isComplete(): boolean {
    return this.current.state !== 'RUNNING'
  }

  /** Opens both ends, checks them and says what would be done. Writes nothing but the target's probe keys. */
  async dryRun(): Promise<Plan> {
    try {
      this.runner = await this.openRunner()
      return await this.ends.open(null, this.runner)
    } finally {
      await this.dispose()
    }
  }

  /**
   * Runs to the end.
   * @throws MigrateError; FM_PREFLIGHT_REFUSED when a check refuses the run; FM_INTERRUPTED when a rule or script would
   * not end after `stop`
   */
  async start(): Promise<MigrationReport> {
    let listening: NodeJS.Timeout | undefined
    try {
      this.runner = await this.openRunner()
      await this.runner?.hold(this.id)
      const { directory } = this
      const record = new RunRecord(this.id, this.config, directory, this.options.store(directory), this.logger)
      this.current.record = record
      const plan = await this.ends.open(record, this.runner)
      refuseUnfit(plan)
      const claim = await this.enroll(record, plan)
      this.enrolled = true
      this.undoable = record.facts.targetWasEmpty === true || record.isJournaled
      const requests = this.serve(directory, record.former === null)
      listening = setInterval(() => requests.listen(), CONTROL_MS)
      this.pulse.start()
      this.ends.watch()
      await this.passes.run(record, plan, claim)
      record.lease.check()
      this.finish(this.signals.wantsStop && this.live.result === null ? 'INTERRUPTED' : 'COMPLETED')
    } catch (error) {
      // Its row says that it runs, and it does.
      if (this.left) this.current.save()
      else {
        const { state, error: thrown } = await this.failure.outcome(error, this.enrolled)
        this.finish(state)
        if (thrown !== null) throw thrown
      }
    } finally {
      clearInterval(listening)
      this.pulse.stop()
      await this.notifier.flush()
      await this.dispose()
    }
    return this.report()
  }

  /** Stops reading, writes what was read, saves the position. `start` resolves when that is done. */
  stop(): void {
    const { phase } = this.current
    this.signals.wantsStop = true
    if (phase === 'INITIAL_SYNC' || phase === 'LIVE_SYNC' || phase === 'WAITING') this.current.enter('STOPPING')
    this.gate.end()
    this.signals.stop()
  }

  /** True while its workers could go on by themselves. */
  get canLeave(): boolean {
    return this.runner !== null && this.passes.engine?.leave !== undefined && !this.live.isRunning
  }

  /**
   * Follows the migration no more, whose workers go on: `start` resolves with what is known. Whoever resumes it follows it again.
   * @throws MigrateError FM_LEAVE_REFUSED where this process runs the shards itself, or a cutover is under way
   */
  leave(): void {
    const { engine } = this.passes
    if (engine?.leave === undefined || !this.canLeave)
      throw new MigrateError(
        'FM_LEAVE_REFUSED',
        this.live.isRunning ? 'a cutover is under way, which nobody else ends' : 'no queue runs this migration',
        this.live.isRunning ? 'Wait for its end, or call it off.' : 'Stop it, and go on later with --resume.',
      )
    this.left = true
    engine.leave()
  }

  /**
   * Writes nothing to the target until `resume`; what the source sends meanwhile is spooled.
   * @throws MigrateError FM_CUTOVER_UNDER_WAY: it would keep writers out of the source for as long as it lasts
   */
  pause(): void {
    if (this.gate.paused) return
    if (this.current.cuttingOver)
      throw new MigrateError(
        'FM_CUTOVER_UNDER_WAY',
        'a cutover is under way, which a pause would keep from its end',
        'Call the cutover off first (cutover --cancel).',
      )
    this.gate.pause()
    this.passes.engine?.pausing(true)
    this.current.note('paused', 'paused: the source is still followed, nothing is written to the target')
    this.current.save()
  }

  resume(): void {
    if (!this.gate.paused) return
    this.gate.resume()
    this.passes.engine?.pausing(false)
    this.current.note('resumed', 'going on after the pause')
    this.current.save()
  }

  /**
   * Switches over while live: fence, drain, last look, hook. On success `start` resolves with the report; on failure the
   * fence comes down and the migration goes on.
   * @throws MigrateError FM_CUTOVER_*, FM_FENCE_*, FM_VERIFY_DIFFERENCES
   */
  cutover(options: Partial<CutoverOptions> = {}, onStep?: (step: RequestStep) => void): Promise<CutoverResult> {
    return this.live.run(options, onStep)
  }

  /** Ends a cutover that has not reached its last step; false when there is none, or it has. */
  callOff(): boolean {
    return this.live.callOff()
  }

  /** Leaves at once: what keeps writers out of the source comes down, and nothing else is waited for. Never throws. */
  async abandon(): Promise<void> {
    this.stop()
    await this.live.abandon()
  }

  /** Compares both ends by value while the migration goes on. @throws MigrateError FM_VERIFY_UNSUPPORTED, FM_VERIFY_NOT_LIVE */
  async verify(): Promise<VerifyReport> {
    const { phase } = this.current
    if (phase !== 'LIVE_SYNC' || this.live.isRunning)
      throw new MigrateError(
        'FM_VERIFY_NOT_LIVE',
        `a verification is possible in LIVE_SYNC; the migration is in ${phase}`,
        'Wait until status says LIVE_SYNC.',
      )
    await this.comparison.run(this.signals.reading)
    return this.comparison.result!
  }

  report(): MigrationReport {
    const { current: status, ends, comparison, live, failure, undoable } = this
    return migrationReport({ status, ends, comparison, live, failure }, undoable)
  }

  /** Where the state is. */
  private get directory(): string {
    return this.runner?.directory ?? this.config.stateDir ?? defaultStateDir()
  }

  private async openRunner(): Promise<Runner | null> {
    const { queue, stateDir, journal } = this.config
    if (queue === undefined && journal === 'shared')
      throw new MigrateError(
        'FM_CONFIG_INVALID',
        'journal: shared, and no queue is named that would keep it',
        'Name it with --queue, or leave --journal out: the journal is then a file of this machine.',
      )
    if (queue === undefined) return null
    const create = await this.registry.runner<CreateRunner>(queue)
    return create({ url: queue, stateDir: stateDir ?? defaultStateDir(), logger: this.logger })
  }

  /** Writes the row of this run, with what a later one must know. */
  private async enroll(record: RunRecord, plan: Plan): Promise<RunClaim> {
    const { current, ends, config } = this
    await record.learnFacts(() => ends.targetIsEmpty())
    if (this.runner !== null) {
      if (record.facts.journal === true && record.former === null && config.journal === 'local') throw noJournal()
      await record.share(this.runner.journal(this.id, config.undoLimit))
    }
    record.noteDatabases(config.filter.dbs, config.dbMap)
    if (record.former !== null) {
      current.startedAt = record.former.createdAt
      current.progress.restore(record.former.status)
    }
    const claim = record.enroll(plan, current.startedAt, this.status())
    const whole = { ...claim, ...ends.copies() }
    try {
      await ends.target!.claim?.(this.id, whole)
    } catch (error) {
      // Nothing of it has happened. After any other fault the claim may stand there, and only this row can go on with it.
      if (error instanceof MigrateError && REFUSED_CLAIM.has(error.code)) record.withdraw()
      throw error
    }
    await record.beginShared()
    current.note('started', `${plan.source} -> ${plan.target}, ${config.mode}, ${plan.apply}`)
    current.send('started', `${plan.source} -> ${plan.target}, ${config.mode}`)
    return whole
  }

  /** From now on other processes are answered. */
  private serve(directory: string, fresh: boolean): RequestServer {
    const requests = new RequestServer(this, this.options.channel(directory), fresh, this.logger, {
      phase: () => this.current.phase,
      note: (type, text) => this.current.note(type, text),
      event: (type, text, actor) => this.current.record?.event(type, text, actor),
    })
    this.requests = requests
    this.current.cutoverAt = () => requests.cutoverAt
    return requests
  }

  /** For `report`, also of a run that is killed. */
  private keepReport(): void {
    if (this.enrolled) this.current.record?.keepReport(storedReport(this.report()))
  }

  /** For whoever shows the metrics of all migrations of this state directory. */
  private keepMetrics(): void {
    if (this.enrolled) this.current.record?.keepMetrics(storedMetrics(this.metrics()))
  }

  private finish(state: Exclude<RunState, 'RUNNING'>): void {
    const { current } = this
    // A run that never got its row must not write into the one that has it.
    if (this.requests === null) this.closeRecord()
    current.end(state)
    this.keepReport()
    this.keepMetrics()
    if (this.enrolled) this.emit('progress', this.status())
    current.tellEnd()
  }

  private closeRecord(): void {
    this.current.record?.close()
    this.current.record = null
  }

  private async dispose(): Promise<void> {
    const { record } = this.current
    this.ends.stopGuard()
    await this.live.end()
    if (record !== null && !record.lease.isLost) await this.ends.signOff()
    await this.passes.close()
    await this.ends.close()
    this.closeRecord()
    this.requests?.close()
    this.requests = null
    if (this.runner === null) return
    if (this.enrolled && this.isComplete())
      await this.runner.finish(this.id, this.current.state === 'COMPLETED').catch(() => undefined)
    await this.runner[Symbol.asyncDispose]()
  }
}

/** What a worker finds at the target may be what another one has written, on a machine that is gone. */
function noJournal(): MigrateError {
  return new MigrateError(
    'FM_PREFLIGHT_REFUSED',
    'the target holds keys, and an undo journal on the disks of workers would be lost with one of them: what was there before could not be given back',
    'Have the queue keep it (--journal shared), give --no-undo if no way back is wanted, empty the target, or leave --queue out.',
  )
}
