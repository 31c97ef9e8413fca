import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { type AdapterContext, type Logger, MigrateError } from '@ferrite-migrate/contracts'
import {
  analyzeSource,
  askRunning,
  configFrom,
  endsFrom,
  type MetricSample,
  type MigrationConfig,
  measuredThen,
  migrationDetails,
  type Registry,
  type RequestAnswer,
  type RequestKind,
  type RollbackReport,
  type Runner,
  ranConfig,
  resolveConfig,
  resumedConfig,
  rollBack,
  type SourceAnalysis,
  StateStore,
  type VerifyReport,
  verifyEnds,
} from '@ferrite-migrate/core'
import type { Answers } from '../protocol/answers.js'
import { METHODS, type Params } from '../protocol/params.js'
import type { ApiStatus } from '../protocol/results.js'
import { PROTOCOL_VERSION } from '../protocol/version.js'
import { derivedReport, derivedStatus } from './derived-status.js'
import type { RunTask } from './run-message.js'
import { RunProcess } from './run-process.js'
import { type Notify, RunWatch } from './run-watch.js'
import { refuseOtherServers, refuseSecretPlaces } from './secret-places.js'
import { Turns } from './turns.js'

/** Migrations that the workers of a queue run on many machines, perhaps without anybody who follows them. */
export interface SharedRuns {
  readonly runner: Pick<Runner, 'journal'>
  /** Has somebody follow one who can be asked; null = somebody does. */
  follow(id: string, kind: RequestKind): Promise<{ leave(): Promise<void> } | null>
  /** What this process writes of one from now on is written for all machines, until the answer is called. */
  take(id: string, stop: () => Promise<unknown>): Promise<() => Promise<void>>
}

export interface MigrationServiceOptions {
  /** Where migrations are kept. */
  readonly stateDir: string
  readonly registry: Registry
  readonly logger: Logger
  /** Version of the program. */
  readonly version: string
  /** Queue whose workers run what is begun here; `stateDir` is the one that it shares. Absent = this machine runs it. */
  readonly queue?: string | undefined
  /** What that queue shares; null = there is none. */
  readonly shared?: SharedRuns | null
  /** Clients may give shell commands as hooks of a cutover. */
  readonly allowHooks: boolean
  /** Clients may name files and variables of this machine that hold passwords. */
  readonly allowSecretPlaces: boolean
}

type Asked = Parameters<typeof askRunning> extends [string, ...infer Rest] ? Rest : never
type WorkContext = Omit<AdapterContext, 'url' | 'options'>

const LOOK_MS = 200
/** As of the command `analyze`. */
const LOOK_RATE = 20_000
const SAMPLE = 20_000
const TOP_KEYS = 20
const TOP_PATTERNS = 30
/** Migrations that are opened or planned at once; each is a process of some 70 MB. */
const OPENING = 4
/** How long a run that is stopped with the service may take to write what it has read. */
const STOP_MS = 60_000
/** So long collectors still see how one ended. */
const RECENT_MS = 3_600_000
const TTL_TOLERANCE_MS = 1000
const VERIFY_ROUNDS = 3

/**
 * All that a client can ask for, whatever carries its questions. Migrations run in processes of their own; those that other processes
 * began are seen and driven as well. Secrets are kept in memory for as long as the service lives, and nowhere else.
 */
export class MigrationService {
  private readonly options: MigrationServiceOptions
  private readonly store: StateStore
  /** Processes of migrations that end with this service. */
  private readonly runs = new Set<RunProcess>()
  /** The last of each migration that this service began. */
  private readonly latest = new Map<string, RunProcess>()
  /** Of those that this service began: they go on without it. */
  private readonly detached = new Map<string, boolean>()
  private readonly lastSeen = new Map<string, { readonly at: number; readonly status: ApiStatus }>()
  private stopped = false
  private readonly turns = new Turns(OPENING)
  private readonly looks = new Turns(1)
  /** With the moment at which the migration of that name was made: a name may be used again. */
  private readonly configs = new Map<string, { readonly createdAt: number; readonly config: MigrationConfig }>()

  /** @throws MigrateError FM_STATE_DIR */
  constructor(options: MigrationServiceOptions) {
    this.options = options
    this.store = new StateStore(options.stateDir)
  }

  /** @throws MigrateError FM_PROTOCOL_VERSION */
  initialize({ protocolVersion }: Params<'initialize'>): Answers['initialize'] {
    if (protocolVersion > PROTOCOL_VERSION)
      throw new MigrateError(
        'FM_PROTOCOL_VERSION',
        `the client speaks version ${protocolVersion} of the protocol, and this ferrite-migrate ${this.options.version} speaks ${PROTOCOL_VERSION}`,
        'Install a newer ferrite-migrate, or an older client.',
      )
    return {
      protocolVersion: PROTOCOL_VERSION,
      name: 'ferrite-migrate',
      version: this.options.version,
      node: process.versions.node,
      stateDir: this.options.stateDir,
      methods: METHODS,
    }
  }

  /** @throws MigrateError FM_CONFIG_INVALID, FM_URL_*, FM_CONNECT_*, … */
  async plan({ config }: Params<'migration.plan'>, signal: AbortSignal): Promise<Answers['migration.plan']> {
    const whole = this.configOf(configFrom(config))
    const plan = await this.turns.take(async () => {
      const run = this.fork(whole, { dryRun: true, detach: false })
      // Nobody waits for it any more: others do.
      const stop = (): void => run.stop()
      signal.addEventListener('abort', stop)
      return await run.planned().finally(() => signal.removeEventListener('abort', stop))
    }, signal)
    return { plan, refused: plan.findings.some(({ level }) => level === 'fail') }
  }

  /** Resolves when the run has its row in the state. @throws MigrateError what refused it */
  async start(
    { config, resume, detach }: Params<'migration.start'>,
    signal: AbortSignal,
  ): Promise<Answers['migration.start']> {
    if (config === undefined && resume === undefined)
      throw new MigrateError(
        'FM_CONFIG_INVALID',
        'neither config nor resume is given',
        'Give a configuration, or the id of a migration to go on with.',
      )
    const whole = resume === undefined ? this.configOf(configFrom(config)) : this.again(resume, config)
    // One that goes on ends as the one before would have ended.
    const goesOn = detach ?? (resume === undefined ? false : (this.detached.get(resume) ?? false))
    return this.turns.take(async () => {
      const run = this.fork(whole, { dryRun: false, detach: goesOn })
      // Whoever asked is gone, and knows of nothing yet: nobody could stop it. What is to go on without them does.
      const stop = (): void => {
        if (!goesOn) run.stop()
      }
      signal.addEventListener('abort', stop)
      const id = await run.began().finally(() => signal.removeEventListener('abort', stop))
      this.detached.set(id, goesOn)
      this.configs.set(id, { createdAt: this.store.get(id).createdAt, config: whole })
      // It has begun, and the answer reaches nobody.
      if (signal.aborted) stop()
      this.latest.set(id, run)
      return { id }
    }, signal)
  }

  /** @throws MigrateError FM_ID_UNKNOWN */
  status(id: string): ApiStatus {
    return derivedStatus(this.store.get(id).status)
  }

  /**
   * @throws MigrateError FM_ID_UNKNOWN; FM_WAIT_TIMEOUT when it is not so in time; FM_INTERRUPTED when the signal is aborted
   */
  async wait({ id, until = 'end', timeoutMs }: Params<'migration.wait'>, signal: AbortSignal): Promise<ApiStatus> {
    const deadline = timeoutMs === undefined ? Number.POSITIVE_INFINITY : Date.now() + timeoutMs
    for (;;) {
      const status = this.looked(id)
      const done =
        status.state !== 'RUNNING' ||
        (until === 'live' && status.phase === 'LIVE_SYNC') ||
        (until === 'complete' && status.complete)
      if (done) return status
      if (Date.now() >= deadline)
        throw new MigrateError(
          'FM_WAIT_TIMEOUT',
          `after ${(timeoutMs ?? 0) / 1000} s the migration ${id} is in ${status.phase}${status.paused ? ', paused' : ''}, and not what was waited for`,
          'Wait longer, or look at its status: it goes on.',
          { retryable: true },
        )
      if (signal.aborted)
        throw new MigrateError('FM_INTERRUPTED', 'the service ends, and the migration does not', 'Attach to it again.')
      await sleep(Math.min(LOOK_MS, Math.max(1, deadline - Date.now())))
    }
  }

  /** The status of a moment ago: many may wait for the same. */
  private looked(id: string): ApiStatus {
    const last = this.lastSeen.get(id)
    if (last !== undefined && Date.now() - last.at < LOOK_MS / 2) return last.status
    const status = this.status(id)
    this.lastSeen.set(id, { at: Date.now(), status })
    return status
  }

  /** @throws MigrateError FM_ID_UNKNOWN, FM_NOT_RUNNING */
  async pause(id: string): Promise<ApiStatus> {
    await this.ask(id, 'pause')
    return this.status(id)
  }

  /** @throws MigrateError FM_ID_UNKNOWN, FM_NOT_RUNNING */
  async resume(id: string): Promise<ApiStatus> {
    await this.ask(id, 'resume')
    return this.status(id)
  }

  /** @throws MigrateError FM_NOT_RUNNING, FM_HOOK_REFUSED, FM_CUTOVER_*, FM_FENCE_*, FM_VERIFY_DIFFERENCES */
  async cutover(
    { id, ...options }: Params<'migration.cutover'>,
    notify: Notify,
    signal: AbortSignal,
  ): Promise<Answers['migration.cutover']> {
    if (options.hook !== undefined && !this.options.allowHooks)
      throw new MigrateError(
        'FM_HOOK_REFUSED',
        'shell commands are not taken from clients',
        'Start serve with --allow-hooks, or let a webhook move the traffic.',
      )
    const { steps, result } = await this.ask(id, 'cutover', options, {
      onStep: (step) => notify('step', { id, step }),
      signal,
    })
    return { ...answered<Answers['migration.cutover']>(id, result, 'downtimeMs'), steps }
  }

  /** @throws MigrateError FM_ID_UNKNOWN, FM_NOT_RUNNING */
  async cancel({ id, what = 'run' }: Params<'migration.cancel'>): Promise<Answers['migration.cancel']> {
    const kind = what === 'run' ? 'stop' : 'call-off'
    const { result } = await this.ask(id, kind)
    return { cancelled: what === 'run' || result?.calledOff === true }
  }

  /**
   * Of one that runs exactly, while it goes on; of one that is over both ends as they are now.
   * @throws MigrateError FM_VERIFY_*, FM_RESUME_PASSWORD, FM_CONNECT_*
   */
  async verify({ id, config }: Params<'migration.verify'>, signal: AbortSignal): Promise<Answers['migration.verify']> {
    if (this.store.get(id).status.state === 'RUNNING') {
      const { result } = await this.ask(id, 'verify', {}, { signal })
      return derivedReport(answered<VerifyReport>(id, result, 'differences'))
    }
    const whole = ranConfig(this.store.get(id), this.given(id, config))
    const report = await this.inPlace(signal, (context) =>
      verifyEnds({
        ...{ config: whole, registry: this.options.registry, context },
        ...{ ttlToleranceMs: TTL_TOLERANCE_MS, rounds: VERIFY_ROUNDS, read: 'auto', ignoreFieldExpiry: false },
      }),
    )
    return derivedReport(report)
  }

  /** @throws MigrateError FM_ROLLBACK_*, FM_RESUME_PASSWORD */
  async rollback(
    { id, force = false, dryRun = false, config }: Params<'migration.rollback'>,
    signal: AbortSignal,
  ): Promise<RollbackReport> {
    const { stateDir, registry, logger, shared } = this.options
    const given = this.given(id, config)
    const letGo = dryRun ? undefined : await shared?.take(id, () => this.ask(id, 'stop'))
    try {
      return await rollBack({
        ...{ id, stateDir, registry, logger, given, force, dryRun, signal },
        ...(shared ? { journal: shared.runner.journal(id, 0) } : {}),
      })
    } finally {
      await letGo?.()
    }
  }

  /**
   * Looks at the source of a migration, at a bounded rate, and writes nothing there.
   * @throws MigrateError FM_ID_UNKNOWN, FM_ANALYZE_UNSUPPORTED, FM_RESUME_PASSWORD, FM_CONNECT_*
   */
  analyze({ id, sample = SAMPLE, config }: Params<'migration.analyze'>, signal: AbortSignal): Promise<SourceAnalysis> {
    const { resume: _, ...whole } = this.again(id, config)
    const { source, sourceOptions } = resolveConfig(whole)
    const look = async (context: WorkContext): Promise<SourceAnalysis> => {
      await using opened = await this.options.registry.source(source, {}, sourceOptions, context)
      return await analyzeSource(opened, null, {
        ...{ sample, full: false, tree: true, maxRate: LOOK_RATE, signal },
        ...{ topKeys: TOP_KEYS, topPatterns: TOP_PATTERNS },
      })
    }
    return this.looks.take(() => this.inPlace(signal, look), signal)
  }

  /** @throws MigrateError FM_ID_UNKNOWN */
  report(id: string): Answers['migration.report'] {
    const status = this.status(id)
    return { status, ...migrationDetails(this.store.details(id)), passes: this.store.passes(id) }
  }

  list(): Answers['migration.list'] {
    return { migrations: this.store.list().map(({ status }) => derivedStatus(status)) }
  }

  /** @throws MigrateError FM_ID_UNKNOWN */
  events({ id, after = 0 }: Params<'migration.events'>): Answers['migration.events'] {
    this.store.get(id)
    return { events: this.store.eventsAfter(id, after) }
  }

  /** @throws MigrateError FM_ID_UNKNOWN */
  samples({ id, after = 0 }: Params<'migration.samples'>): Answers['migration.samples'] {
    this.store.get(id)
    return { samples: this.store.samples(id).filter(({ at }) => at > after) }
  }

  /** @throws MigrateError FM_ID_UNKNOWN */
  metrics(id: string): Answers['migration.metrics'] {
    const { status } = this.store.get(id)
    const samples = measuredThen(this.store.metrics(id), status)
    return { samples: samples.map(({ metric, labels, value }) => ({ name: metric.name, labels, value })) }
  }

  /** What is measured of those that some process runs now, and of those that ended in the last hour. */
  measured(): { id: string; samples: MetricSample[] }[] {
    const since = Date.now() - RECENT_MS
    return this.store
      .list()
      .filter(({ status }) => status.state === 'RUNNING' || status.updatedAt >= since)
      .map(({ status }) => ({ id: status.id, samples: measuredThen(this.store.metrics(status.id), status) }))
  }

  /** Number of the last event of a migration, also of a former one of that name; 0 = there was none. */
  lastEvent(id: string): number {
    return this.store.eventsAfter(id, 0).at(-1)?.number ?? 0
  }

  /** @param after number of the last event that is not told. @throws MigrateError FM_ID_UNKNOWN */
  watch(id: string, notify: Notify, after: number): RunWatch {
    this.store.get(id)
    return new RunWatch(id, this.store, notify, after)
  }

  /** It no longer ends with this service. @throws MigrateError FM_ID_UNKNOWN */
  detach(id: string): ApiStatus {
    const status = this.status(id)
    const run = this.latest.get(id)
    if (run !== undefined && this.runs.delete(run)) run.detach()
    this.detached.set(id, true)
    return status
  }

  /** Stops what this service began and did not detach; resolves when all of it has written what it had read. */
  async stop(): Promise<void> {
    this.stopped = true
    const runs = [...this.runs]
    for (const run of runs) run.stop()
    await Promise.race([Promise.all(runs.map(({ gone }) => gone)), sleep(STOP_MS, undefined, { ref: false })])
  }

  /** Call after `stop`, when nothing is asked any more. */
  close(): void {
    this.store.close()
  }

  /** Asks whoever runs it; of one that only the workers of a queue run, somebody follows it for as long as that takes. */
  private async ask(...[id, ...rest]: Asked): Promise<RequestAnswer> {
    const followed = (await this.options.shared?.follow(id, rest[0])) ?? null
    try {
      return await askRunning(this.options.stateDir, id, ...rest)
    } finally {
      await followed?.leave()
    }
  }

  private configOf(config: MigrationConfig): MigrationConfig {
    if (config.stateDir !== undefined && config.stateDir !== this.options.stateDir)
      throw new MigrateError(
        'FM_CONFIG_INVALID',
        'options.state_dir: the service has one state directory for all',
        'Leave it out, or start the service with --state-dir.',
      )
    if (config.queue !== undefined && config.queue !== this.options.queue)
      throw new MigrateError(
        'FM_CONFIG_INVALID',
        'options.queue: the service has one queue for all, or none',
        'Leave it out, and start the service with --queue (FERRITE_MIGRATE_QUEUE).',
      )
    return { ...this.checked(config), ...this.own() }
  }

  /** What is the service's to say. */
  private own(): Pick<MigrationConfig, 'stateDir' | 'queue'> {
    const { stateDir, queue } = this.options
    return queue === undefined ? { stateDir } : { stateDir, queue }
  }

  /** What is read here at a client's word would go to an address of its choice. @throws MigrateError FM_SECRET_PLACE */
  private checked<C extends Partial<MigrationConfig>>(config: C): C {
    if (!this.options.allowSecretPlaces) refuseSecretPlaces(config)
    return config
  }

  /** Work in this process, with a folder of its own that goes with it. */
  private async inPlace<T>(signal: AbortSignal, work: (context: WorkContext) => Promise<T>): Promise<T> {
    const tempDir = mkdtempSync(join(tmpdir(), 'ferrite-migrate-'))
    try {
      return await work({ logger: this.options.logger, signal, tempDir })
    } finally {
      rmSync(tempDir, { recursive: true, force: true })
    }
  }

  /**
   * What is known of its secrets: from when it was started here, and from what is given now.
   * @throws MigrateError FM_RESUME_MISMATCH, FM_SECRET_PLACE
   */
  private given(id: string, config: unknown): Partial<MigrationConfig> {
    const stored = this.store.get(id)
    const kept = this.configs.get(id)
    const { source, target, sourceOptions, targetOptions } =
      kept?.createdAt === stored.createdAt ? kept.config : ({} as Partial<MigrationConfig>)
    const known = Object.entries({ source, target, sourceOptions, targetOptions }).filter(
      ([, value]) => value !== undefined,
    )
    if (config === undefined) return Object.fromEntries(known)
    const ends = this.checked(endsFrom(config))
    refuseOtherServers(stored, ends)
    return { ...Object.fromEntries(known), ...ends }
  }

  private again(id: string, config: unknown): MigrationConfig {
    return { ...resumedConfig(this.store.get(id), this.given(id, config)), ...this.own() }
  }

  private fork(config: MigrationConfig, how: Pick<RunTask, 'dryRun' | 'detach'>): RunProcess {
    if (this.stopped)
      throw new MigrateError('FM_INTERRUPTED', 'the service ends, and begins nothing any more', 'Ask once more.')
    const run = new RunProcess({ config, plugins: this.options.registry.plugins, ...how })
    if (!how.detach) {
      this.runs.add(run)
      void run.gone.then(() => this.runs.delete(run))
    }
    return run
  }
}

/** What another process answered, which may be of another version. */
function answered<T>(id: string, result: object | undefined, field: string): T {
  if (result !== undefined && field in result) return result as T
  throw new MigrateError(
    'FM_INTERNAL',
    `the migration ${id} answered something else than was asked for`,
    'Is it run by this version of ferrite-migrate? If so, please report it.',
  )
}
