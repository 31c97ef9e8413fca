import { randomBytes } from 'node:crypto'
import { EventEmitter } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { homedir, tmpdir } from 'node:os'
import { join } from 'node:path'
import { type KeyReader, type Logger, MigrateError, type Source, type Target } from '@ferrite-migrate/contracts'
import { type MigrationConfig, type ResolvedConfig, resolveConfig } from './config.js'
import { Engine } from './engine.js'
import { RecordFilter } from './key-filter.js'
import { silentLogger } from './logger.js'
import { makePlan, type Plan } from './plan.js'
import { Progress } from './progress.js'
import { redactUrl } from './redact.js'
import type { Registry } from './registry.js'
import { StateStore } from './state-store.js'
import type { MigrationStatus, Phase, RunState } from './status.js'
import { Verifier, type VerifyReport } from './verifier.js'

export interface MigrationOptions {
  /** The adapters to choose from. */
  readonly registry: Registry
  readonly logger?: Logger
}

/** What a finished run leaves; printed at its end and stable under --json. */
export interface MigrationReport {
  readonly status: MigrationStatus
  readonly plan: Plan
  readonly notCarried: readonly {
    readonly what: string
    readonly count: number
    readonly examples: readonly string[]
  }[]
  readonly failures: readonly { readonly db: number; readonly key: string; readonly reason: string }[]
  readonly verification: VerifyReport | null
  readonly notes: readonly { readonly type: string; readonly text: string }[]
}

/** Where the state is kept when nothing else is said. */
export function defaultStateDir(): string {
  return (
    process.env.FERRITE_MIGRATE_STATE_DIR ??
    join(process.env.XDG_DATA_HOME ?? join(homedir(), '.local', 'share'), 'ferrite-migrate')
  )
}

interface Events {
  progress: [MigrationStatus]
  phase: [Phase]
  note: [{ type: string; text: string }]
  verify: [number]
}

/**
 * One migration. `start` runs it to its end and gives the report; `stop` ends it gracefully: what was read is written
 * and checkpointed. Events: `progress` (about once a second), `phase`, `note`, `verify`.
 */
export class Migration extends EventEmitter<Events> {
  readonly id: string
  readonly config: ResolvedConfig
  private readonly options: MigrationOptions
  private readonly logger: Logger
  private readonly progress = new Progress()
  private readonly filter: RecordFilter
  private readonly reading = new AbortController()
  private readonly notes: { type: string; text: string }[] = []
  private readonly applied = new Map<string, string>()
  private readonly startedAt = Date.now()
  private phase: Phase = 'PREFLIGHT'
  private state: RunState = 'RUNNING'
  private error: MigrateError | null = null
  private plan: Plan | null = null
  private source: Source | null = null
  private target: Target | null = null
  private store: StateStore | null = null
  private readonly tempDir = mkdtempSync(join(tmpdir(), 'ferrite-migrate-'))
  private wantsStop = false
  private verification: VerifyReport | null = null

  /** @throws MigrateError FM_CONFIG_INVALID */
  constructor(config: MigrationConfig, options: MigrationOptions) {
    super()
    this.config = resolveConfig(config)
    this.options = options
    this.logger = options.logger ?? silentLogger
    this.id = this.config.id ?? `mig_${randomBytes(4).toString('hex')}`
    this.filter = new RecordFilter(this.config.filter)
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
      bytesDone: progress.bytesDone,
      bytesTotal: progress.bytesTotal,
      changesApplied: progress.changesApplied,
      keysWritten: progress.written,
      keysSkipped: progress.skipped,
      keysDeleted: progress.deleted,
      keysFailed: progress.failed,
      rate: progress.rate,
      lagKeys: progress.lag.keys ?? null,
      lagBytes: progress.lag.bytes ?? null,
      lagMs: progress.lag.ms ?? null,
      spoolBytes: progress.lag.spooledBytes ?? 0,
      etaMs: progress.etaMs(live),
      diverging: progress.diverging,
      error: this.error && { code: this.error.code, message: this.error.message, hint: this.error.hint },
    }
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
   * @throws MigrateError; FM_PREFLIGHT_REFUSED when a check refuses the run
   */
  async start(): Promise<MigrationReport> {
    let timer: NodeJS.Timeout | undefined
    try {
      const plan = await this.open()
      const refusals = plan.findings.filter((finding) => finding.level === 'fail')
      if (refusals.length > 0)
        throw new MigrateError(
          'FM_PREFLIGHT_REFUSED',
          refusals.map((finding) => finding.text).join('; '),
          `Codes: ${refusals.map((finding) => finding.code).join(', ')}; see docs/errors.md.`,
        )
      this.store = new StateStore(this.config.stateDir ?? defaultStateDir())
      this.store.create({
        id: this.id,
        createdAt: this.startedAt,
        source: plan.source,
        target: plan.target,
        mode: this.config.mode,
        pid: process.pid,
        status: this.status(),
        plan: JSON.stringify(plan),
      })
      this.note('started', `${plan.source} -> ${plan.target}, ${this.config.mode}, ${plan.apply}`)
      timer = setInterval(() => void this.tick(), 1000)
      await this.run(plan)
      this.finish(this.wantsStop ? 'INTERRUPTED' : 'COMPLETED')
    } catch (error) {
      this.error =
        error instanceof MigrateError
          ? error
          : new MigrateError(
              'FM_INTERNAL',
              (error as Error).message,
              'This is a fault of ferrite-migrate: please report it with -v.',
              { cause: error },
            )
      this.finish('FAILED')
      throw this.error
    } finally {
      clearInterval(timer)
      await this.dispose()
    }
    return this.report()
  }

  /** Stops reading, writes what was read, saves the position. `start` resolves when that is done. */
  stop(): void {
    this.wantsStop = true
    this.reading.abort()
  }

  report(): MigrationReport {
    return {
      status: this.status(),
      plan: this.plan!,
      notCarried: [...this.progress.notCarried].map(([what, entry]) => ({ what, ...entry })),
      failures: this.progress.failures,
      verification: this.verification,
      notes: this.notes,
    }
  }

  private async open(): Promise<Plan> {
    const { registry } = this.options
    const context = { logger: this.logger, signal: this.reading.signal, tempDir: this.tempDir }
    const { config } = this
    const shared = { 'sync-timeout': `${config.syncTimeoutMs}ms` }
    const reading = {
      ...shared,
      capture: config.capture,
      'spool-limit': config.spoolLimit,
      'batch-size': config.batchSize,
    }
    const source = registry.source(config.source, reading, config.sourceOptions, context)
    const target = registry.target(config.target, shared, config.targetOptions, context)
    // Both at once; whichever opened is kept, so that it is closed when the other fails.
    const [opened, other] = await Promise.allSettled([source, target])
    if (opened.status === 'fulfilled') this.source = opened.value
    if (other.status === 'fulfilled') this.target = other.value
    if (opened.status === 'rejected') throw opened.reason
    if (other.status === 'rejected') throw other.reason
    const checks = await Promise.all([opened.value.preflight?.(), other.value.preflight?.()])
    const findings = checks.flatMap((list) => list ?? [])
    const keys = await this.countSourceKeys()
    this.plan = makePlan(config, opened.value, other.value, findings, this.filter.needsValue, keys)
    for (const finding of this.plan.findings)
      this.logger.log(finding.level === 'info' ? 'info' : 'warn', finding.text, { code: finding.code })
    return this.plan
  }

  private async countSourceKeys(): Promise<number | null> {
    const reader = this.source!.reader?.()
    if (reader === undefined) return null
    try {
      let keys = 0
      for (const [db, size] of await reader.size()) if (this.filter.takesDb(db)) keys += size
      return keys
    } finally {
      await reader.close()
    }
  }

  private async run(plan: Plan): Promise<void> {
    const source = this.source!
    const target = this.target!
    const engine = new Engine({
      id: this.id,
      config: this.config,
      apply: plan.apply,
      lanes: plan.lanes,
      source,
      target,
      filter: this.filter,
      progress: this.progress,
      logger: this.logger,
      signal: this.reading.signal,
      targetWasEmpty: await this.targetIsEmpty(),
      onPhase: (phase) => this.enter(phase),
      onPosition: (shard, position) => this.applied.set(shard, position),
      onNote: (type, text) => this.note(type, text),
    })
    this.enter('INITIAL_SYNC')
    const done = new AbortController()
    const tasks: Promise<unknown>[] = [engine.run().finally(() => done.abort())]
    if (this.config.mode === 'live' && (this.config.exit || this.config.verify))
      tasks.push(this.endWhenCaughtUp(engine, done.signal))
    try {
      await Promise.all(tasks)
    } catch (error) {
      this.reading.abort()
      await Promise.allSettled(tasks)
      throw error
    }
    if (this.config.mode === 'snapshot' && this.config.verify && !this.wantsStop) await this.verify(this.reading.signal)
    if (!this.wantsStop) for (const shard of source.shards) await target.forget(this.id, shard.id)
  }

  /** Live mode that ends by itself: waits for the lag to go, verifies while the stream goes on, then stops reading. */
  private async endWhenCaughtUp(engine: Engine, over: AbortSignal): Promise<void> {
    const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms))
    while (this.phase !== 'LIVE_SYNC') {
      if (over.aborted || this.wantsStop) return
      await pause(20)
    }
    const untilLag = this.config.untilLag ?? 0
    let goal: number | null = null
    for (;;) {
      if (over.aborted || this.wantsStop) return
      await this.readLag()
      const { lag, changeBytes } = this.progress
      if ((lag.keys ?? Number.POSITIVE_INFINITY) <= untilLag) break
      // Under a writer the lag is never nothing: what was there at one moment being applied is as good.
      if (goal === null && lag.bytes !== undefined) goal = changeBytes + lag.bytes
      if (goal !== null && untilLag === 0 && changeBytes >= goal) break
      await pause(20)
    }
    await engine.settle()
    if (this.config.verify) await this.verify(over)
    if (this.config.exit) this.reading.abort()
  }

  private async verify(signal: AbortSignal): Promise<void> {
    const phase = this.phase
    this.enter('VERIFYING')
    const source = this.source!.reader?.()
    if (source === undefined)
      throw new MigrateError(
        'FM_VERIFY_UNSUPPORTED',
        'the source cannot be read key by key, so it cannot be verified',
        'Leave --verify out.',
      )
    const target = this.target!.reader()
    try {
      this.verification = await new Verifier(source as KeyReader, target, {
        filter: this.filter,
        digest: { fieldExpiry: this.target!.dialect.facts.fieldExpiry !== 'no' },
        ttlToleranceMs: 1000,
        rounds: 4,
        pauseMs: 250,
        signal,
        onProgress: (compared) => this.emit('verify', compared),
      }).run()
    } finally {
      await source.close()
      await target.close()
    }
    if (!signal.aborted) this.enter(phase)
  }

  private async targetIsEmpty(): Promise<boolean> {
    const reader = this.target!.reader()
    try {
      for await (const page of reader.keys())
        if (page.some(({ db, key }) => this.filter.takesKey(db, key))) return false
      return true
    } finally {
      await reader.close()
    }
  }

  private enter(phase: Phase): void {
    if (phase === this.phase) return
    this.phase = phase
    this.store?.addEvent(this.id, 'phase', phase)
    this.emit('phase', phase)
    this.save()
  }

  private note(type: string, text: string): void {
    this.notes.push({ type, text })
    this.store?.addEvent(this.id, type, text)
    this.logger.log('info', text, { type })
    this.emit('note', { type, text })
  }

  private async readLag(): Promise<void> {
    for (const shard of this.source!.shards)
      this.progress.lag = (await shard.lag?.(this.applied.get(shard.id)).catch(() => undefined)) ?? this.progress.lag
  }

  private async tick(): Promise<void> {
    await this.readLag()
    this.progress.sample(Date.now())
    this.save()
    this.emit('progress', this.status())
  }

  private save(): void {
    if (this.store === null) return
    try {
      this.store.save(this.id, this.status())
      for (const [shard, position] of this.applied) this.store.savePosition(this.id, shard, position)
    } catch (error) {
      // A busy or full disk under the state must not stop the data.
      this.logger.log('warn', `the state could not be saved: ${(error as Error).message}`)
    }
  }

  private finish(state: RunState): void {
    this.state = state
    if (state !== 'RUNNING') this.enter(state)
    if (this.error) this.store?.addEvent(this.id, 'failed', `${this.error.code} ${this.error.message}`)
    this.progress.sample(Date.now())
    this.save()
    this.emit('progress', this.status())
  }

  private async dispose(): Promise<void> {
    await this.source?.[Symbol.asyncDispose]()
    await this.target?.[Symbol.asyncDispose]()
    this.store?.close()
    this.store = null
    rmSync(this.tempDir, { recursive: true, force: true })
  }
}
