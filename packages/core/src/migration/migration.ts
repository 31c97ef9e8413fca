import { createHash, randomBytes } from 'node:crypto'
import { EventEmitter } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { counted, type Finding, type Logger, MigrateError, type Source, type Target } from '@ferrite-migrate/contracts'
import type { Registry } from '../adapters/registry.js'
import { type MigrationConfig, type ResolvedConfig, resolveConfig } from '../config/config.js'
import { silentLogger } from '../config/logger.js'
import { redactUrl } from '../config/secrets.js'
import { ControlQueue } from '../control/control-queue.js'
import { RequestServer } from '../control/request-server.js'
import { CUTOVER_DEFAULTS, Cutover, type CutoverOptions, type CutoverResult } from '../cutover/cutover.js'
import { contentFindings } from '../ends/content-findings.js'
import { chooseDatabases, type DatabaseChoice } from '../ends/databases.js'
import { openEnds } from '../ends/open-ends.js'
import { makePlan, type Plan } from '../ends/plan.js'
import { sameServer } from '../ends/same-server.js'
import { ChangeTrack } from '../engine/changes/change-track.js'
import type { Resumed } from '../engine/checkpoints.js'
import { Engine } from '../engine/engine.js'
import type { ShardEvent } from '../engine/events/shard-event.js'
import { ShardPhases } from '../engine/events/shard-phases.js'
import { ErrorRate } from '../engine/lanes/error-rate.js'
import { Gate } from '../engine/lanes/gate.js'
import { Progress } from '../engine/progress/progress.js'
import { worstLag } from '../engine/progress/worst-lag.js'
import { ForeignKeys } from '../engine/target-content/foreign-keys.js'
import { RecordFilter } from '../records/key-filter.js'
import { Notifier } from '../report/notifier.js'
import { journaled, TargetRecorder } from '../rollback/journaled-target.js'
import type { RollbackReport } from '../rollback/rollback.js'
import { rollBackFailed } from '../rollback/rollback-failed.js'
import type { RequestStep } from '../state/requests.js'
import { defaultStateDir } from '../state/state-store.js'
import type { MigrationStatus, Phase, RunState } from '../state/status.js'
import { FaultFile } from '../transform/fault-file.js'
import { databases, openTransform } from '../transform/open-transform.js'
import { NO_TRANSFORM, type RecordTransform } from '../transform/record-transform.js'
import { TargetKeys } from '../transform/target-keys.js'
import type { CompareProgress } from '../verify/compare-progress.js'
import { RunVerification } from '../verify/run-verification.js'
import type { VerifyReport } from '../verify/verify-report.js'
import { LagAlarm } from './lag-alarm.js'
import type { MigrationReport } from './migration-report.js'
import { PassSchedule } from './pass-schedule.js'
import { RunRecord } from './run-record.js'
import { SourceGuard } from './source-guard.js'
import { storedReport } from './stored-report.js'

export interface MigrationOptions {
  /** The adapters to choose from. */
  readonly registry: Registry
  readonly logger?: Logger
}

const CONTROL_MS = 200
const TICK_MS = 1000
/** How long the source may take to tell the lag before it counts as unknown. */
const LAG_MS = 2000
/** How long a fence may take to come down when everything is given up. */
const ABANDON_MS = 5000
/** A target that is this close follows the source. */
const IN_SYNC_MS = 1000
/** Seconds between two signs of life at the target. */
const BEAT_TICKS = 10

/** A server that is away comes back some time. */
function passes({ code, retryable }: MigrateError): boolean {
  return retryable || code === 'FM_TARGET_LOST' || code === 'FM_CONNECT_SILENT'
}

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
  /** The database map and filter are completed by what the addresses of both ends name. */
  config: ResolvedConfig
  private readonly options: MigrationOptions
  private readonly logger: Logger
  private readonly progress = new Progress()
  private filter: RecordFilter
  /** The one database of the source whose keys may be written; null = any. */
  private onlyDb: number | null = null
  private transform: RecordTransform = NO_TRANSFORM
  private targetKeys: TargetKeys
  private readonly faults: FaultFile
  private readonly gate: Gate
  private readonly notifier: Notifier
  private readonly errorRate: ErrorRate | null
  private readonly schedule: PassSchedule
  /** Aborted when nothing at all shall be read any more. */
  private readonly stopping = new AbortController()
  /** Ends the pass that is under way. */
  private reading = new AbortController()
  private readonly notes: { type: string; text: string }[] = []
  private readonly applied = new Map<string, string>()
  private startedAt = Date.now()
  private phase: Phase = 'PREFLIGHT'
  private state: RunState = 'RUNNING'
  private error: MigrateError | null = null
  private plan: Plan | null = null
  private source: Source | null = null
  private target: Target | null = null
  private recorder: TargetRecorder | null = null
  private guard: SourceGuard | null = null
  private engine: Engine | null = null
  private engineOver: Promise<unknown> = Promise.resolve()
  private record: RunRecord | null = null
  private requests: RequestServer | null = null
  private readonly tempDir = mkdtempSync(join(tmpdir(), 'ferrite-migrate-'))
  private lagReading: Promise<void> | null = null
  private ticks = 0
  private wantsStop = false
  private enrolled = false
  private undoable = false
  private verification: VerifyReport | null = null
  /** Changes that were applied when it was made. */
  private verifiedAt = 0
  private cutoverResult: CutoverResult | null = null
  private cuttingOver: Promise<unknown> | null = null
  private running: Cutover | null = null
  private rollbackReport: RollbackReport | null = null
  private readonly lagAlarm: LagAlarm
  private syncKind: 'full' | 'partial' = 'full'

  /** @throws MigrateError FM_CONFIG_INVALID */
  constructor(config: MigrationConfig, options: MigrationOptions) {
    super()
    this.config = resolveConfig(config)
    this.options = options
    this.logger = options.logger ?? silentLogger
    this.id = this.config.id ?? `mig_${randomBytes(4).toString('hex')}`
    this.filter = new RecordFilter(this.config.filter)
    this.targetKeys = new TargetKeys(this.filter, this.transform)
    this.faults = new FaultFile(this.config.errorsFile, this.id)
    this.gate = new Gate(this.config.maxRate)
    this.notifier = new Notifier(this.config.notifications, this.logger)
    this.lagAlarm = new LagAlarm(this.config.notifications.lagAlarm)
    this.schedule = new PassSchedule(this.config.intervalMs, this.config.schedule)
    const { autoRollback, rollbackOnErrorRate } = this.config
    this.errorRate = autoRollback ? new ErrorRate(rollbackOnErrorRate ?? 1) : null
  }

  status(): MigrationStatus {
    const { progress } = this
    const live = this.phase !== 'INITIAL_SYNC' && this.phase !== 'PREFLIGHT'
    return {
      id: this.id,
      state: this.state,
      phase: this.phase,
      source: redactUrl(this.config.source),
      target: redactUrl(this.config.target),
      mode: this.config.mode,
      capture: this.source?.description.capture ?? '',
      apply: this.plan?.apply ?? '',
      startedAt: this.startedAt,
      updatedAt: Date.now(),
      keysDone: progress.keysDone,
      keysTotal: progress.keysTotal,
      keysFiltered: progress.filtered,
      keysLeftOut: progress.leftOut,
      keysKept: progress.kept,
      valuesPassed: progress.passed,
      bytesDone: progress.bytesDone,
      bytesTotal: progress.bytesTotal,
      changesApplied: progress.changesApplied,
      changesFiltered: progress.changesFiltered,
      changeBytes: progress.changeBytes,
      keysWritten: progress.written,
      keysSkipped: progress.skipped,
      keysDeleted: progress.deleted,
      keysFailed: progress.failed,
      rate: progress.rate,
      lagKeys: progress.lag.keys ?? null,
      lagBytes: progress.lag.bytes ?? null,
      lagMs: progress.lag.ms ?? null,
      spoolBytes: progress.lag.spooledBytes ?? 0,
      inSync: this.inSync,
      etaMs: this.gate.paused ? null : this.inSync ? 0 : progress.etaMs(live),
      paused: this.gate.paused,
      cutoverAt: this.requests?.cutoverAt ?? null,
      diverging: progress.diverging,
      error: this.error && { code: this.error.code, message: this.error.message, hint: this.error.hint },
    }
  }

  /** So little is behind that nobody waits for it. */
  private get inSync(): boolean {
    const { lag, diverging } = this.progress
    if (this.phase !== 'LIVE_SYNC' || diverging || this.gate.paused) return false
    if (lag.keys === undefined && lag.bytes === undefined) return false
    return lag.ms === undefined ? (lag.keys ?? 0) <= this.config.cutoverMaxLag : lag.ms < IN_SYNC_MS || lag.keys === 0
  }

  /** True once it has a row of its own, so that there is something to report, to go on with and to take back. */
  get began(): boolean {
    return this.enrolled
  }

  /** Keys behind; null = unknown. */
  get lag(): number | null {
    return this.progress.lag.keys ?? null
  }

  isComplete(): boolean {
    return this.state !== 'RUNNING'
  }

  /** Opens both ends, checks them and says what would be done. Writes nothing but the target's probe keys. */
  async dryRun(): Promise<Plan> {
    try {
      return await this.open()
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
    const timers: NodeJS.Timeout[] = []
    try {
      const directory = this.config.stateDir ?? defaultStateDir()
      const record = new RunRecord(this.id, this.config, directory, this.logger)
      this.record = record
      const plan = await this.open()
      const refusals = plan.findings.filter((finding) => finding.level === 'fail')
      if (refusals.length > 0)
        throw new MigrateError(
          'FM_PREFLIGHT_REFUSED',
          refusals.map((finding) => finding.text).join('; '),
          `Codes: ${refusals.map((finding) => finding.code).join(', ')}; see docs/errors.md.`,
        )
      await this.enroll(record, plan)
      this.enrolled = true
      this.undoable = record.facts.targetWasEmpty === true || record.journal !== null
      this.requests = new RequestServer(this, new ControlQueue(directory), record.former === null, this.logger, {
        phase: () => this.phase,
        note: (type, text) => this.note(type, text),
        event: (type, text, actor) => this.record?.event(type, text, actor),
      })
      timers.push(
        setInterval(() => this.tick(), TICK_MS),
        setInterval(() => this.requests?.listen(), CONTROL_MS),
      )
      this.watchSource(this.source!)
      await this.runReadable(record, plan)
      record.lease.check()
      this.finish(this.wantsStop && this.cutoverResult === null ? 'INTERRUPTED' : 'COMPLETED')
    } catch (error) {
      if (this.wantsStop && error instanceof MigrateError && error.code === 'FM_INTERRUPTED') {
        this.finish('INTERRUPTED')
        throw error
      }
      if (this.wantsStop && !this.enrolled && error instanceof MigrateError && passes(error)) {
        this.finish('INTERRUPTED')
        throw new MigrateError('FM_INTERRUPTED', 'stopped before anything was written', 'Start it again.', {
          cause: error,
        })
      }
      if (this.wantsStop && this.enrolled && error instanceof MigrateError && passes(error)) {
        // Nobody waits any longer for a server that is away: what it has not taken comes again from the saved position.
        this.note('stopped', `stopped while a server was away: ${error.message}`)
        this.finish('INTERRUPTED')
        return this.report()
      }
      this.error =
        error instanceof MigrateError
          ? error
          : new MigrateError(
              'FM_INTERNAL',
              (error as Error).message,
              'This is a fault of ferrite-migrate: please report it with -v.',
              { cause: error },
            )
      await this.rollBackAfter(this.error)
      this.finish(this.rollbackReport === null ? 'FAILED' : 'ROLLED_BACK')
      throw this.error
    } finally {
      for (const timer of timers) clearInterval(timer)
      await this.notifier.flush()
      await this.dispose()
    }
    return this.report()
  }

  /** Stops reading, writes what was read, saves the position. `start` resolves when that is done. */
  stop(): void {
    this.wantsStop = true
    if (this.phase === 'INITIAL_SYNC' || this.phase === 'LIVE_SYNC' || this.phase === 'WAITING') this.enter('STOPPING')
    this.gate.end()
    this.stopping.abort()
    this.reading.abort()
  }

  /** Writes nothing to the target until `resume`; what the source sends meanwhile is spooled. */
  pause(): void {
    if (this.gate.paused) return
    this.gate.pause()
    this.note('paused', 'paused: the source is still followed, nothing is written to the target')
    this.save()
  }

  resume(): void {
    if (!this.gate.paused) return
    this.gate.resume()
    this.note('resumed', 'going on after the pause')
    this.save()
  }

  /**
   * Switches over while live: fence, drain, last look, hook. On success `start` resolves with the report; on failure the
   * fence comes down and the migration goes on.
   * @throws MigrateError FM_CUTOVER_*, FM_FENCE_*, FM_VERIFY_DIFFERENCES
   */
  async cutover(options: Partial<CutoverOptions> = {}, onStep?: (step: RequestStep) => void): Promise<CutoverResult> {
    const wanted: CutoverOptions = {
      ...CUTOVER_DEFAULTS,
      maxLag: this.config.cutoverMaxLag,
      verify: this.config.verify && this.source?.reader !== undefined,
      ...options,
    }
    if (this.phase !== 'LIVE_SYNC' || this.engine === null || this.cuttingOver !== null)
      throw new MigrateError(
        'FM_CUTOVER_NOT_LIVE',
        `a cutover is possible in LIVE_SYNC; the migration is in ${this.phase}`,
        'Wait until status says LIVE_SYNC, or go on with an interrupted migration by migrate --resume.',
      )
    const work = this.switchOver(wanted, onStep)
    this.cuttingOver = work.catch(() => undefined)
    try {
      return await work
    } finally {
      this.cuttingOver = null
    }
  }

  private async switchOver(options: CutoverOptions, onStep?: (step: RequestStep) => void): Promise<CutoverResult> {
    const engine = this.engine!
    const cutover = new Cutover(
      {
        source: this.source!,
        lossless: this.source!.capabilities.changes === 'lossless',
        status: () => this.status(),
        readLag: () => this.readLag(),
        applied: (shard) => this.applied.get(shard),
        settle: () => engine.settle(),
        track: () => {
          const track = new ChangeTrack()
          engine.track(track)
          return track
        },
        untrack: () => engine.track(null),
        mustKeep: () => engine.mustKeep(),
        freeze: () => engine.freeze(),
        thaw: () => engine.thaw(),
        seen: (shard, position) => engine.seen(shard, position),
        withVerifier: (rounds, use) =>
          this.comparison(options.strict || this.config.strict).withVerifier(rounds, this.reading.signal, use),
        repair: (report) => {
          // What only the target has is known by its name there, which the source cannot be asked for.
          const { renames } = this.transform
          const known = report.differences.filter(({ kind }) => !(renames && kind === 'missing-source'))
          return engine.repair(known.map(({ db, keyBase64 }) => ({ db, key: Buffer.from(keyBase64, 'base64') })))
        },
        step: (step) => {
          this.record?.event(`cutover-${step.name}`, step.text)
          this.emit('step', step)
          onStep?.(step)
        },
        signal: this.reading.signal,
      },
      options,
    )
    if (options.dryRun) return cutover.run()
    this.running = cutover
    this.enter('CUTOVER')
    this.notifier.send('cutover', 'the cutover starts', this.status())
    try {
      this.cutoverResult = await cutover.run()
      this.record?.addFacts({ handedOver: true })
      if (this.cutoverResult.verification !== null) {
        this.verification = this.cutoverResult.verification
        this.verifiedAt = this.progress.changesApplied
      }
      this.cutoverResult = await cutover.hold(this.cutoverResult, this.stopping.signal)
      // Nothing that is written to the source from now on belongs to the target any more.
      this.reading.abort()
      await this.engineOver.catch(() => undefined)
      return this.cutoverResult
    } catch (error) {
      const text = error instanceof MigrateError ? `${error.code} ${error.message}` : String(error)
      this.note('cutover-failed', `the cutover was called off, the migration goes on: ${text}`)
      this.notifier.send('cutover', `the cutover was called off: ${text}`, this.status())
      if (!this.reading.signal.aborted) this.enter('LIVE_SYNC')
      throw error
    }
  }

  /** Ends a cutover that has not reached its last step; false when there is none, or it has. */
  callOff(): boolean {
    return this.phase === 'CUTOVER' && (this.running?.callOff() ?? false)
  }

  /** Leaves at once: what keeps writers out of the source comes down, and nothing else is waited for. Never throws. */
  async abandon(): Promise<void> {
    this.stop()
    const released = this.running?.release('given up').catch(() => undefined) ?? Promise.resolve()
    await Promise.race([released, sleep(ABANDON_MS, undefined, { ref: false })])
  }

  /** Compares both ends by value while the migration goes on. @throws MigrateError FM_VERIFY_UNSUPPORTED, FM_VERIFY_NOT_LIVE */
  async verify(): Promise<VerifyReport> {
    if (this.phase !== 'LIVE_SYNC' || this.cuttingOver !== null)
      throw new MigrateError(
        'FM_VERIFY_NOT_LIVE',
        `a verification is possible in LIVE_SYNC; the migration is in ${this.phase}`,
        'Wait until status says LIVE_SYNC.',
      )
    await this.verifyNow(this.reading.signal)
    return this.verification!
  }

  report(): MigrationReport {
    return {
      status: this.status(),
      plan: this.plan!,
      passed: { count: this.progress.passed, examples: this.progress.passedExamples },
      errorsFile: this.faults.opened ? this.config.errorsFile : null,
      undoable: this.undoable,
      notCarried: [...this.progress.notCarried].map(([what, entry]) => ({ what, ...entry })),
      failures: this.progress.failures,
      verification: this.verification,
      changesSinceVerification: this.verification === null ? null : this.progress.changesApplied - this.verifiedAt,
      cutover: this.cutoverResult,
      rollback: this.rollbackReport,
      notes: this.notes,
    }
  }

  /** Writes the row of this run, with what a later one must know. */
  private async enroll(record: RunRecord, plan: Plan): Promise<void> {
    await record.learnFacts(() => this.targetIsEmpty())
    record.noteDatabases(this.config.filter.dbs, this.config.dbMap)
    if (record.former !== null) {
      this.startedAt = record.former.createdAt
      this.progress.restore(record.former.status)
    }
    const claim = record.enroll(plan, this.startedAt, this.status())
    await this.target!.claim?.(this.id, { ...claim, ...this.copies() })
    if (record.journal !== null) this.recorder = new TargetRecorder(this.target!, record.journal, this.targetKeys)
    this.note('started', `${plan.source} -> ${plan.target}, ${this.config.mode}, ${plan.apply}`)
    this.notifier.send('started', `${plan.source} -> ${plan.target}, ${this.config.mode}`, this.status())
  }

  /** What it brings changes of: who brings the same as well would make each of them twice. */
  private copies(): { readonly copies?: string } {
    if (this.config.mode === 'snapshot' || this.source?.capabilities.changes === 'none') return {}
    const { filter, dbMap, transform, transformScript } = this.config
    const what = JSON.stringify([
      this.source?.identity ?? redactUrl(this.config.source),
      filter,
      dbMap,
      transform,
      transformScript,
    ])
    return { copies: createHash('sha256').update(what).digest('hex').slice(0, 32) }
  }

  /** The target says that another process writes for this migration now. */
  private notice({ code }: { code?: string }): void {
    if (code !== 'FM_RUN_TAKEN') return
    try {
      this.record?.lease.lose()
    } catch {
      // The next batch says it.
    }
  }

  private async open(): Promise<Plan> {
    const { config } = this
    const context = {
      logger: this.logger,
      signal: this.stopping.signal,
      tempDir: this.tempDir,
      migration: this.id,
      ...(this.record === null ? {} : { ledger: this.record.ledger() }),
    }
    // A wrong rule or script is found before any server is asked.
    this.transform = await openTransform(config, this.options.registry, context, (fault) => {
      if (this.config.onTransformError === 'pass') this.progress.passOver(fault.key)
      else this.progress.leaveOut('value that could not be transformed', fault.key)
      this.faults.add(fault)
    })
    if (this.transform.changesValues && config.onTransformError !== 'fail') this.faults.check()
    this.targetKeys = new TargetKeys(this.filter, this.transform)
    const ends = await openEnds(config, this.options.registry, context)
    // Whichever opened is kept, so that it is closed when the other fails.
    if (!(ends.source instanceof Error)) this.source = ends.source
    if (!(ends.target instanceof Error)) this.target = ends.target
    if (ends.source instanceof Error) throw ends.source
    if (ends.target instanceof Error) throw ends.target
    // A run that has met what its stream cannot tell goes on by keys.
    if (this.record?.former?.facts.byKeys && ends.source.byKeys !== undefined)
      await this.changeSource(await ends.source.byKeys())
    const source = this.source ?? ends.source
    for (const what of (await this.record?.putBack(source)) ?? [])
      this.note('put-back', `put back: ${what} and did not live to put back`)
    const checks = await Promise.all([source.preflight?.(), ends.target.preflight?.()])
    const contents = (await source.contents?.()) ?? null
    const sizes = contents?.databases ?? (await this.countSourceKeys())
    const choice = await chooseDatabases(config, source, ends.target, sizes)
    this.takeDatabases(choice)
    const same = await sameServer(source, ends.target)
    this.refuseUnverifiable(source)
    const findings = [
      ...(same === null ? [] : [same]),
      ...checks.flatMap((list) => list ?? []),
      ...choice.findings,
      ...(contents === null ? [] : contentFindings(contents, ends.target.dialect, config)),
    ]
    const keys = contents?.keys ?? (sizes === null ? null : this.countTaken(sizes))
    const said = findings.filter((finding) => this.applies(finding, contents !== null))
    const plan = this.planFor(source, said, keys)
    for (const finding of plan.findings)
      this.logger.log(finding.level === 'info' ? 'info' : 'warn', finding.text, { code: finding.code })
    return plan
  }

  /** A verification that was asked for and cannot be made is refused before anything is written. */
  private refuseUnverifiable(source: Source): void {
    const { verify, mode } = this.config
    if (!verify || source.reader !== undefined) return
    if (mode === 'snapshot' && !source.capabilities.readOnce) return
    throw new MigrateError(
      'FM_VERIFY_UNSUPPORTED',
      source.capabilities.readOnce
        ? 'what can be read only once cannot be compared afterwards'
        : 'this source has no values of its own to compare with',
      'Leave --verify out and compare otherwise (verify, compare); an append-only file has values with --rebuild.',
    )
  }

  /** A finding is said only where it matters, and what the contents tell exactly is not said in general as well. */
  private applies({ only, code }: Finding, exact: boolean): boolean {
    if (only === 'changes' && this.config.mode === 'snapshot') return false
    if (exact && (code === 'target-hyperloglog' || code === 'target-field-ttl')) return false
    return !(code === 'target-not-empty' && (this.record?.former ?? null) !== null)
  }

  private takeDatabases({ filter, dbMap, only }: DatabaseChoice): void {
    this.config = { ...this.config, filter, dbMap }
    this.onlyDb = only
    this.filter = new RecordFilter(filter)
    this.transform = this.transform.withDatabases(databases(dbMap))
    this.targetKeys = new TargetKeys(this.filter, this.transform)
  }

  /** Keys per database of the source; null = it does not tell. */
  private async countSourceKeys(): Promise<ReadonlyMap<number, number> | null> {
    const reader = this.source!.reader?.()
    if (reader === undefined) return null
    try {
      return await reader.size()
    } finally {
      await reader.close()
    }
  }

  private countTaken(sizes: ReadonlyMap<number, number>): number {
    let keys = 0
    for (const [db, size] of sizes) if (this.filter.takesDb(db)) keys += size
    return keys
  }

  /** Runs it; a source whose stream holds a value of an unknown type is read key by key instead, where it offers that. */
  private async runReadable(record: RunRecord, plan: Plan): Promise<void> {
    const { former } = record
    const inSnapshot = this.config.mode === 'snapshot'
    const resumed: Resumed | null =
      former === null
        ? null
        : {
            positions: record.positions(),
            held: record.facts.held ? { from: former.createdAt, to: Date.now() } : null,
            inSnapshot,
          }
    if (former !== null) await this.target!.takeOver?.(this.id)
    try {
      await this.runAll(record, plan, resumed)
    } catch (error) {
      const unknown = error instanceof MigrateError && error.code === 'FM_RDB_UNKNOWN' && !this.wantsStop
      if (!unknown || this.source?.byKeys === undefined) throw error
      this.note('by-keys', `${error.message}: the source is read key by key instead, and what has changed as well`)
      record.addFacts({ byKeys: true })
      await this.changeSource(await this.source.byKeys())
      const { findings, keys } = plan
      await this.runAll(record, this.planFor(this.source, findings, keys), {
        positions: new Map(),
        held: null,
        inSnapshot,
      })
    }
  }

  /** Another way to the same source. */
  private async changeSource(source: Source): Promise<void> {
    const former = this.source
    this.source = source
    await former?.[Symbol.asyncDispose]()
    if (this.guard === null) return
    this.guard.stop()
    this.watchSource(source)
  }

  private watchSource(source: Source): void {
    const { maxSourceCpu, maxSourceLatencyMs } = this.config
    this.guard = new SourceGuard(source, maxSourceCpu / 100, maxSourceLatencyMs, (text) => this.note('guard', text))
    this.guard.start()
  }

  private planFor(source: Source, findings: readonly Finding[], keys: number | null): Plan {
    const plan = makePlan(this.config, source, this.target!, findings, this.filter.needsValue, this.transform, keys)
    this.plan = plan
    return plan
  }

  /** One pass, or in incremental mode one after the other. */
  private async runAll(record: RunRecord, plan: Plan, from: Resumed | null): Promise<void> {
    const { config } = this
    let resumed = from
    if (config.mode !== 'incremental') {
      await this.runPass(record, plan, resumed)
      await this.cuttingOver
      if (!this.wantsStop || this.cutoverResult !== null)
        for (const shard of this.source!.shards) await this.target!.forget(this.id, shard.id)
      return
    }
    for (;;) {
      const startedAt = Date.now()
      const { written, deleted, changesApplied } = this.progress
      await this.runPass(record, plan, resumed)
      const pass = record.addPass({
        startedAt,
        endedAt: Date.now(),
        sync: this.syncKind,
        written: this.progress.written - written,
        deleted: this.progress.deleted - deleted,
        changes: this.progress.changesApplied - changesApplied,
      })
      this.note(
        'pass',
        `pass ${pass.number}: ${pass.sync === 'partial' ? 'from the backlog of the source' : 'everything compared'}, ${counted(pass.changes, 'change')}, ${pass.written} written, ${pass.deleted} deleted, ${pass.endedAt - pass.startedAt} ms`,
      )
      if (config.once || this.wantsStop) return
      this.enter('WAITING')
      this.save()
      const next = this.schedule.next(startedAt, Date.now())
      await sleep(Math.min(next - Date.now(), 2 ** 31 - 1), undefined, { signal: this.stopping.signal }).catch(
        () => undefined,
      )
      if (this.wantsStop) return
      resumed = { positions: new Map(this.applied), held: null, inSnapshot: false }
    }
  }

  private async runPass(record: RunRecord, plan: Plan, resumed: Resumed | null): Promise<void> {
    const target = this.target!
    const foreign = await this.findForeign(record, target, resumed !== null)
    this.reading = new AbortController()
    if (this.wantsStop) this.reading.abort()
    const phases = new ShardPhases(this.source!.shards.length)
    const engine = new Engine({
      id: this.id,
      config: this.config,
      onlyDb: this.onlyDb,
      apply: plan.apply,
      lanes: plan.lanes,
      source: this.source!,
      target: this.recorder === null ? target : journaled(target, this.recorder),
      filter: this.filter,
      transform: this.transform,
      targetKeys: this.targetKeys,
      progress: this.progress,
      logger: this.logger,
      signal: this.reading.signal,
      stopping: this.stopping.signal,
      targetWasEmpty: record.facts.targetWasEmpty ?? false,
      foreign,
      wrote: (db, key) => record.journal?.has(db, key) ?? false,
      resumed,
      gate: this.gate,
      errorRate: this.errorRate,
      admit: () => record.lease.check(),
      pace: () => this.guard?.pace() ?? 0,
      tell: (event) => this.hear(event, record, phases),
    })
    this.engine = engine
    this.enter('INITIAL_SYNC')
    const done = new AbortController()
    this.engineOver = engine.run().finally(() => done.abort())
    const tasks: Promise<unknown>[] = [this.engineOver]
    const { mode, exit, verify } = this.config
    if (mode === 'incremental' || (mode === 'live' && (exit || verify)))
      tasks.push(this.endWhenCaughtUp(engine, done.signal))
    try {
      await Promise.all(tasks)
    } catch (error) {
      this.reading.abort()
      await Promise.allSettled(tasks)
      throw error
    } finally {
      this.engine = null
    }
    if (mode === 'snapshot' && verify && !this.wantsStop) await this.verifyNow(this.reading.signal)
    if (!this.wantsStop) record.addFacts({ held: false })
  }

  /** What the shards tell. */
  private hear(event: ShardEvent, record: RunRecord, phases: ShardPhases): void {
    switch (event.kind) {
      case 'synced':
        this.syncKind = event.mode
        break
      case 'phase': {
        const phase = phases.enter(event.shard, event.phase)
        // Nothing follows a copy that ends with its snapshot.
        if (phase !== null && (phase !== 'LIVE_SYNC' || this.config.mode !== 'snapshot')) this.enter(phase)
        break
      }
      case 'position':
        this.applied.set(event.shard, event.position)
        break
      case 'held':
        record.addFacts({ held: true })
        break
      case 'note':
        this.note(event.type, event.text)
    }
  }

  /** What the target had before, where that matters: for a copy that replaces, nothing builds upon what was there. */
  private async findForeign(record: RunRecord, target: Target, resumed: boolean): Promise<ForeignKeys | null> {
    const { onConflict, mode } = this.config
    if (record.facts.targetWasEmpty !== false || (mode === 'snapshot' && (onConflict === 'replace' || !resumed)))
      return null
    if (resumed && record.journal === null) {
      this.note(
        'foreign',
        'without the undo journal nobody can tell which keys of the target are not of this migration',
      )
      return null
    }
    return ForeignKeys.find({
      target,
      targetKeys: this.targetKeys,
      policy: onConflict,
      // What is only looked at because it might be replaced has an entry as well.
      wrote: (db, key) =>
        resumed &&
        ((onConflict === 'replace' ? record.journal?.has(db, key) : record.journal?.created(db, key)) ?? false),
    })
  }

  /** Live mode that ends by itself: waits for the lag to go, verifies while the stream goes on, then stops reading. */
  private async endWhenCaughtUp(engine: Engine, over: AbortSignal): Promise<void> {
    while (this.phase !== 'LIVE_SYNC') {
      if (over.aborted || this.wantsStop) return
      await sleep(20)
    }
    const untilLag = this.config.untilLag ?? 0
    let goal = Number.POSITIVE_INFINITY
    for (;;) {
      if (over.aborted || this.wantsStop) return
      await this.readLag()
      const { lag, changeBytes } = this.progress
      if ((lag.keys ?? Number.POSITIVE_INFINITY) <= untilLag) break
      // Where nobody can tell what is behind, having compared everything once more is as near as it gets.
      if (lag.keys === undefined && lag.bytes === undefined && engine.sweeps > 0) break
      // Under a writer the lag is never nothing: what was there at one moment being applied is as good. What was applied
      // between the source's answer and this line makes the goal too high, so it is lowered with every look.
      if (lag.bytes !== undefined) goal = Math.min(goal, changeBytes + lag.bytes)
      if (untilLag === 0 && changeBytes >= goal) break
      await sleep(20)
    }
    await engine.settle()
    if (this.config.verify) await this.verifyNow(over)
    if (this.config.exit || this.config.mode === 'incremental') this.reading.abort()
  }

  private async verifyNow(signal: AbortSignal): Promise<void> {
    const phase = this.phase
    this.enter('VERIFYING')
    this.verification = await this.comparison().run(this.engine, signal, this.reading.signal)
    this.verifiedAt = this.progress.changesApplied
    if (!signal.aborted && this.config.mode !== 'snapshot') this.enter(phase)
  }

  /** @param strict keys that only the target has count, whoever wrote them */
  private comparison(strict = this.config.strict): RunVerification {
    const { source, target, filter, transform, record, config } = this
    // What the target held before, and this migration never wrote, is not of the migration.
    const others = !record?.facts.targetWasEmpty && !config.deleteExtra && !strict
    const journal = record?.journal ?? null
    const file = source!.description.capture?.startsWith('file') ?? false
    return new RunVerification({
      source: source!,
      target: target!,
      filter,
      transform,
      ...(others && (file || journal !== null) ? { foreign: (db, key) => !(journal?.has(db, key) ?? false) } : {}),
      held: (db, key) => this.engine?.holds(db, key) ?? false,
      leftOut: (db, key) => this.progress.isLeftOut(db, key),
      comparesEnds: config.ttl === 'keep' && config.ttlFactor === 1,
      onProgress: (progress) => this.emit('verify', progress),
    })
  }

  private async targetIsEmpty(): Promise<boolean> {
    const reader = this.target!.reader()
    try {
      for await (const page of reader.keys())
        if (page.some(({ db, key }) => this.targetKeys.takesKey(db, key))) return false
      return true
    } finally {
      await reader.close()
    }
  }

  /** After a failure with --auto-rollback: the target becomes what it was. */
  private async rollBackAfter(error: MigrateError): Promise<void> {
    const { record } = this
    if (!this.config.autoRollback || this.wantsStop || this.requests === null || this.record?.lease.isLost) return
    if (record === null || this.target === null) return
    this.note('rollback', `rolling back after ${error.code} ${error.message}`)
    this.enter('ROLLING_BACK')
    this.rollbackReport = await rollBackFailed({
      id: this.id,
      source: this.source,
      target: this.target,
      journal: record.journal,
      targetWasEmpty: record.facts.targetWasEmpty ?? false,
      keys: this.targetKeys,
      transform: this.transform,
      onNote: (type, text) => this.note(type, text),
    })
    if (this.rollbackReport === null) return
    record.forgetPositions()
    this.applied.clear()
    if (this.rollbackReport.kept === 0) record.removeJournal()
  }

  private enter(phase: Phase): void {
    if (phase === this.phase) return
    if (this.phase === 'STOPPING' && (phase === 'INITIAL_SYNC' || phase === 'LIVE_SYNC')) return
    this.phase = phase
    this.record?.event('phase', phase)
    this.emit('phase', phase)
    if (phase === 'LIVE_SYNC' && this.cuttingOver === null && !this.source?.description.capture?.startsWith('file'))
      this.notifier.send('live', 'the target follows the source', this.status())
    this.save()
  }

  private note(type: string, text: string): void {
    this.notes.push({ type, text })
    this.record?.event(type, text)
    this.logger.log('info', text, { type })
    this.emit('note', { type, text })
  }

  /** Asks the source how far behind the target is; what it does not answer is not known, whatever was known before. */
  private readLag(): Promise<void> {
    this.lagReading ??= this.askLag().finally(() => {
      this.lagReading = null
    })
    return this.lagReading
  }

  private async askLag(): Promise<void> {
    const asked = this.source!.shards.map(async (shard) => (await shard.lag?.(this.applied.get(shard.id))) ?? null)
    const answers = await Promise.allSettled(asked)
    this.progress.lag = worstLag(answers.map((answer) => (answer.status === 'fulfilled' ? answer.value : null)))
  }

  private tick(): void {
    this.beat()
    if (++this.ticks % BEAT_TICKS === 0) {
      void this.target?.beat?.().catch((error: { code?: string }) => this.notice(error))
      this.keepReport()
    }
    void this.lookAtLag()
  }

  /** Tells other processes that this one is alive, whatever the servers do. */
  private beat(): void {
    try {
      this.record?.lease.check()
      this.record?.sample(this.phase, this.progress)
      this.save()
    } catch (error) {
      this.logger.log('error', (error as Error).message)
      this.reading.abort()
      this.stopping.abort()
    }
  }

  private async lookAtLag(): Promise<void> {
    const answered = await Promise.race([this.readLag().then(() => true), sleep(LAG_MS, false, { ref: false })])
    if (!answered) this.progress.lag = {}
    this.progress.sample(Date.now())
    this.alarm()
    this.emit('progress', this.status())
  }

  private alarm(): void {
    const keys = this.progress.lag.keys ?? 0
    if (this.phase !== 'LIVE_SYNC' || !this.lagAlarm.passed(keys)) return
    const text = `${counted(keys, 'key is', 'keys are')} behind, more than ${this.config.notifications.lagAlarm}`
    this.note('lag-alarm', text)
    this.notifier.send('lag-alarm', text, this.status())
  }

  /** For `report`, also of a run that is killed. */
  private keepReport(): void {
    if (this.enrolled) this.record?.keepReport(storedReport(this.report()))
  }

  private save(): void {
    this.record?.save(this.status(), this.applied)
  }

  private finish(state: Exclude<RunState, 'RUNNING'>): void {
    this.state = state
    // A run that never got its row must not write into the one that has it.
    if (this.requests === null) {
      this.record?.close()
      this.record = null
    }
    this.enter(state)
    if (this.error) this.record?.event('failed', `${this.error.code} ${this.error.message}`)
    this.progress.sample(Date.now())
    this.save()
    this.keepReport()
    if (this.enrolled) this.emit('progress', this.status())
    const status = this.status()
    if (state === 'COMPLETED') this.notifier.send('completed', 'completed', status)
    else if (state === 'INTERRUPTED') this.notifier.send('interrupted', 'stopped; it can go on', status)
    else {
      this.notifier.send('failed', `${this.error?.code} ${this.error?.message}`, status)
      if (state === 'ROLLED_BACK') this.notifier.send('rolled-back', 'the target is as it was before', status)
    }
  }

  /** This process writes no more: whoever looks at the target sees it. */
  private async signOff(): Promise<void> {
    if (this.record === null || this.record.lease.isLost) return
    const done = this.target?.release?.(this.id).catch(() => undefined) ?? Promise.resolve()
    await Promise.race([done, sleep(ABANDON_MS, undefined, { ref: false })])
  }

  private async dispose(): Promise<void> {
    this.guard?.stop()
    await this.cuttingOver
    await this.signOff()
    await this.recorder?.close()
    this.faults.close()
    await this.transform.close()
    await this.source?.[Symbol.asyncDispose]()
    await this.target?.[Symbol.asyncDispose]()
    this.record?.close()
    this.record = null
    this.requests?.close()
    this.requests = null
    rmSync(this.tempDir, { recursive: true, force: true })
  }
}
