import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { hostname, tmpdir } from 'node:os'
import { extname, join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { errorFromTold, type Lag, MigrateError, type ToldError } from '@ferrite-migrate/contracts'
import {
  type FromWorker,
  type MigrationConfig,
  passwordVariable,
  resolveConfig,
  SettingsLedger,
  type ShardTask,
  StateStore,
  WorkerSession,
} from '@ferrite-migrate/core'
import type { Redis } from 'ioredis'
import type { ShardJob as Job, JobQueue } from '../connection/bull.js'
import { type RunKeys, WHOLE } from '../connection/run-keys.js'
import { jobId, shardName, shortDigest } from '../protocol/job-id.js'
import type { QueuedTask } from '../protocol/queued-task.js'
import { CHANGE_CONTROL, type Control, controlFields, type Question, readControl } from '../protocol/told.js'
import { fromWire } from '../protocol/wire.js'
import type { JobLock } from './job-lock.js'
import { Outbox } from './outbox.js'
import { WorkerLedger } from './worker-ledger.js'

/** How often the record of what to do is read where nothing woke us, ms. */
const LOOK_MS = 1000
const AGAIN_MS = 300
/** How long the former workers of single shards are waited for by one that has all of them. */
const OTHERS_MS = 10_000
/** Slots that are at rest for so long are read apart again, ms. */
const REST_MS = 20_000
/** A source or target that is away for so long is given to another machine, where there is one, ms. */
const AWAY_MS = 15_000
const BEAT_MS = 1000
/** By how much epochs go on after the queue has forgotten how far they were. */
const EPOCHS_LOST = 1000

/** How a job ended for this worker. */
export type JobEnd =
  /** There is nothing left to do. */
  | { readonly kind: 'done' }
  /** Another worker had better do it, or this one later. */
  | { readonly kind: 'returned'; readonly why: MigrateError }
  /** Nothing on this machine can do it. */
  | { readonly kind: 'unfit'; readonly why: MigrateError }

/** Faults of a machine, not of the migration. */
const OF_MACHINE = /^FM_(PLUGIN_|RESUME_PASSWORD|ENV_MISSING|FILE_|TLS_FILE|PACKAGE_MISSING|STATE_DIR)/

/** What a job needs of the worker that has taken it. */
export interface ShardJobNeeds {
  readonly link: Redis
  /** A connection of its own, which waits for orders. */
  readonly orders: Redis
  readonly jobs: JobQueue
  readonly keys: RunKeys
  readonly lock: JobLock
  /** Of the worker, as people see it. */
  readonly name: string
  readonly stateDir: string
  readonly plugins: ShardTask['plugins']
  say(text: string): void
  /** True when workers of other machines live as well. */
  hasOthers(): Promise<boolean>
}

/** One shard of a migration, or all of them, from its taking to its end. */
export class ShardJob {
  private readonly needs: ShardJobNeeds
  private readonly job: Job
  private readonly shard: string
  private readonly tempDir = mkdtempSync(join(tmpdir(), 'ferrite-migrate-'))
  private readonly over = new AbortController()
  private session: WorkerSession | null = null
  private outbox: Outbox | null = null
  private control: Control | null = null
  private epoch = 0
  private cursor = '$'
  private fault: ToldError | null = null
  private yields = false
  private given: MigrateError | null = null
  private restingSince: number | null = null

  constructor(job: Job, needs: ShardJobNeeds) {
    this.job = job
    this.needs = needs
    this.shard = job.data.shard
  }

  /** Runs it to its end. @throws whatever keeps the queue from answering, FM_RUN_TAKEN */
  async run(): Promise<JobEnd> {
    const { link, keys } = this.needs
    try {
      const [text, fields, isOver] = await Promise.all([
        link.get(keys.task),
        link.hgetall(keys.control),
        link.hexists(keys.over, this.shard),
      ])
      const control = readControl(fields)
      if (text === null || control === null || isOver === 1 || !this.isOfNow(control)) return { kind: 'done' }
      if (control.ending !== '') return { kind: 'done' }
      this.control = control
      return await this.work(JSON.parse(text) as QueuedTask, control)
    } catch (error) {
      if (error instanceof MigrateError && OF_MACHINE.test(error.code)) return { kind: 'unfit', why: error }
      throw error
    } finally {
      this.over.abort()
      this.outbox?.close()
      rmSync(this.tempDir, { recursive: true, force: true })
    }
  }

  /** Somebody wants this worker to end: what was read is written, and another worker goes on. */
  stop(): void {
    this.given ??= new MigrateError('FM_INTERRUPTED', 'the worker is stopped', 'Another one goes on.', {
      retryable: true,
    })
    void this.session?.take({ kind: 'end-reading' })
  }

  /** Jobs of former rounds, and of the other grouping, are left over. */
  private isOfNow(control: Control): boolean {
    return control.round === this.job.data.round && (control.grouping === 'whole') === (this.shard === WHOLE)
  }

  private async work(queued: QueuedTask, control: Control): Promise<JobEnd> {
    const { link, keys, lock, name, say } = this.needs
    const { migration } = this.job.data
    if (this.shard === WHOLE) await this.awaitOthers()
    this.cursor = (await link.xrevrange(keys.orders, '+', '-', 'COUNT', 1))[0]?.[0] ?? '0'
    // From here on every other one that believes to have the shard is behind.
    this.epoch = await link.incr(keys.epoch)
    const former = await link.hget(keys.holders, this.shard)
    const { task, store, ledger } = await this.makeTask(queued)
    const outbox = new Outbox(link, keys, this.shard, this.epoch)
    this.outbox = outbox
    const afterMs = former === null ? null : Date.now() - (JSON.parse(former) as { at: number }).at
    outbox.tell({ kind: 'taken', by: name, afterMs })
    await this.noteHolder()
    say(`has ${this.shard === WHOLE ? 'all shards' : `the shard ${this.shard}`} of ${migration} (epoch ${this.epoch})`)
    const session = new WorkerSession({
      send: (message) => this.send(message),
      right: { check: () => lock.check(), ledger },
      frozen: control.frozen && (await link.exists(keys.hold)) === 1,
      tellMs: BEAT_MS,
    })
    this.session = session
    if (control.tracking) void session.take({ kind: 'track', on: true })
    const beating = setInterval(() => void this.beat(session), BEAT_MS)
    const obeying = this.obey(session)
    try {
      await session.take({ kind: 'run', task })
    } finally {
      clearInterval(beating)
      this.over.abort()
      this.needs.orders.disconnect(true)
      await obeying
      store.close()
    }
    lock.check()
    return this.end(outbox)
  }

  private async end(outbox: Outbox): Promise<JobEnd> {
    const { link, keys } = this.needs
    const fault = this.fault
    await outbox.settle()
    if (fault !== null && fault.code === 'FM_SHARDS_MOVED') {
      await this.regroup('whole')
      return { kind: 'done' }
    }
    // The lock is this worker's, and the target knows of a higher epoch: the queue has lost its memory.
    if (fault !== null && fault.code === 'FM_RUN_TAKEN') await link.incrby(keys.epoch, EPOCHS_LOST)
    if (fault !== null && (fault.retryable || fault.code === 'FM_RUN_TAKEN' || OF_MACHINE.test(fault.code))) {
      const why = errorFromTold(fault)
      return { kind: OF_MACHINE.test(fault.code) ? 'unfit' : 'returned', why }
    }
    if (this.given !== null && fault === null) return { kind: 'returned', why: this.given }
    if (this.yields && fault === null) return { kind: 'done' }
    await link.hset(keys.over, this.shard, JSON.stringify(fault))
    outbox.tell({ kind: 'over', fault })
    await outbox.settle()
    return { kind: 'done' }
  }

  private send(message: FromWorker): void {
    if (message.kind === 'over') this.fault = message.fault
    else this.outbox?.tell(message)
    if (message.kind === 'event' && message.event.kind === 'phase' && message.event.phase === 'LIVE_SYNC')
      this.phases.add(message.event.shard)
  }

  /** Does what the record says, and answers questions, until the job is over. */
  private async obey(session: WorkerSession): Promise<void> {
    const { link, orders, keys } = this.needs
    let obeyed = -1
    while (!this.over.signal.aborted) {
      try {
        const control = readControl(await link.hgetall(keys.control))
        if (control === null || control.version !== obeyed) {
          await this.become(session, control)
          obeyed = control?.version ?? -1
          await link.hset(keys.acks, this.shard, `${this.epoch} ${obeyed}`)
        } else if (control.frozen && (await link.exists(keys.hold)) === 0) {
          // Whoever had changes held back is gone, and cannot let them go.
          await link.eval(CHANGE_CONTROL, 2, keys.control, keys.orders, ...controlFields({ frozen: false }))
        }
        const read = await orders.xread('COUNT', 100, 'BLOCK', LOOK_MS, 'STREAMS', keys.orders, this.cursor)
        for (const [id, fields] of read?.[0]?.[1] ?? []) {
          this.cursor = id
          if (fields[0] === 'q') void this.reply(session, fromWire<Question>(fields[1]))
        }
      } catch {
        if (this.over.signal.aborted) return
        await sleep(AGAIN_MS)
      }
    }
  }

  private async become(session: WorkerSession, control: Control | null): Promise<void> {
    const former = this.control
    this.control = control
    // What nobody wants any more ends.
    if (control === null || !this.isOfNow(control)) {
      this.yields = true
      await session.take({ kind: 'end-reading' })
      return
    }
    await session.take({ kind: control.paused ? 'pause' : 'resume' })
    if (control.tracking !== former?.tracking) await session.take({ kind: 'track', on: control.tracking })
    if (control.frozen !== session.isFrozen) {
      while (session.running === null && !this.over.signal.aborted) await sleep(20)
      await session.freezeOrThaw(control.frozen)
    }
    if (control.ending === 'stop') await session.take({ kind: 'stop' })
    else if (control.ending === 'read') await session.take({ kind: 'end-reading' })
  }

  private async reply(session: WorkerSession, { id, shard, what, keys }: Question): Promise<void> {
    if (shard !== null && this.shard !== WHOLE && shard !== this.shard) return
    if (what !== 'lags') return session.take({ kind: 'ask', id, what, keys })
    const lags = await this.lags(session)
    // Of all shards at once, with their names.
    this.outbox?.tell({ kind: 'answer', id, answer: lags as never })
  }

  private async lags(session: WorkerSession): Promise<readonly (readonly [string, Lag | null])[]> {
    const all = session.running?.engine.lags() ?? []
    return Promise.all(
      all.map(
        async ({ shard, lag }) => [shard, await Promise.race([lag, sleep(1500, null)]).catch(() => null)] as const,
      ),
    )
  }

  /** Who has the shard, and when it last was seen. */
  private async noteHolder(): Promise<void> {
    const { link, keys, name } = this.needs
    const heldBy = { by: name, host: hostname(), pid: process.pid, epoch: this.epoch, at: Date.now() }
    await link.hset(keys.holders, this.shard, JSON.stringify(heldBy))
  }

  /** Both ends must be there: a machine that cannot reach one of them gives the shard to another machine. */
  private async beat(session: WorkerSession): Promise<void> {
    void this.noteHolder().catch(() => undefined)
    const running = session.running
    if (running === null) return
    const { source, target } = running.run.ends
    const now = Date.now()
    void target?.beat?.().then(
      () => {
        this.seen.target = Date.now()
      },
      (error: unknown) => {
        if (error instanceof MigrateError && error.code === 'FM_RUN_TAKEN') this.needs.lock.giveUp(error.message)
      },
    )
    if (source?.load === undefined) this.seen.source = now
    else
      void source.load().then(
        () => {
          this.seen.source = Date.now()
        },
        () => undefined,
      )
    const away = (['source', 'target'] as const).find((end) => now - this.seen[end] > AWAY_MS)
    if (away !== undefined && this.given === null && (await this.needs.hasOthers())) {
      this.given = new MigrateError(
        'FM_CONNECT_LOST',
        `the ${away} cannot be reached from here`,
        'Another machine goes on.',
        {
          retryable: true,
        },
      )
      // What waits for a server that is away would wait for long.
      this.needs.lock.giveUp(this.given.message)
    }
    if (this.shard === WHOLE) await this.perhapsApart(session)
  }

  private readonly seen = { source: Date.now(), target: Date.now() }

  /** Once all slots are at rest for a while, each shard is read by a worker of its own again. */
  private async perhapsApart(session: WorkerSession): Promise<void> {
    const lags = await this.lags(session)
    const atRest =
      lags.length > 0 &&
      lags.every(([, lag]) => lag !== null && (lag.unsettled ?? 0) === 0 && lag.keys !== undefined) &&
      this.phases.size >= lags.length
    if (!atRest) this.restingSince = null
    else this.restingSince ??= Date.now()
    if (this.restingSince === null || Date.now() - this.restingSince < REST_MS || this.yields) return
    // A cutover is under way, or a comparison: what is asked of this worker would be lost.
    if (this.control?.frozen === true || this.control?.tracking === true) return
    this.shardsNow = lags.map(([shard]) => shard)
    await this.regroup('apart')
  }

  private shardsNow: readonly string[] = []
  private readonly phases = new Set<string>()

  /** Jobs are made anew, and those of before end by themselves. */
  private async regroup(grouping: Control['grouping']): Promise<void> {
    const { link, keys, jobs, say } = this.needs
    const { migration, round } = this.job.data
    const now = readControl(await link.hgetall(keys.control))
    if (now === null || now.round !== round || now.grouping === grouping || now.ending !== '') return
    const next = shortDigest(`${round} ${grouping}`).slice(0, 8)
    const wanted = grouping === 'whole' ? [WHOLE] : this.shardsNow
    await jobs.addBulk(
      wanted.map((shard) => ({
        name: 'shard',
        data: { migration, shard, round: next },
        opts: { jobId: jobId(migration, next, shard) },
      })),
    )
    await link.eval(CHANGE_CONTROL, 2, keys.control, keys.orders, ...controlFields({ grouping, round: next }))
    const text =
      grouping === 'whole'
        ? 'slots of the source move between its shards: one worker reads all of them until they are at rest'
        : 'the slots of the source are at rest: each shard is read by a worker of its own again'
    this.outbox?.tell({ kind: 'event', event: { kind: 'note', shard: this.shard, type: 'shards', text } })
    await this.outbox?.settle()
    say(text)
  }

  /** Workers of single shards write what they have read first. */
  private async awaitOthers(): Promise<void> {
    const deadline = Date.now() + OTHERS_MS
    while (Date.now() < deadline) {
      const active = await this.needs.jobs.getActive()
      if (!active.some(({ data, id }) => data.migration === this.job.data.migration && id !== this.job.id)) return
      await sleep(100)
    }
  }

  private async makeTask({ task, config, secrets, files, startedAt }: QueuedTask): Promise<{
    task: ShardTask
    store: StateStore
    ledger: WorkerLedger
  }> {
    const { link, keys, plugins, stateDir } = this.needs
    const given = JSON.parse(config) as MigrationConfig
    for (const end of ['source', 'target'] as const)
      if (secrets[end] && process.env[passwordVariable(end)] === undefined && !hasPlace(given, end))
        throw new MigrateError(
          'FM_RESUME_PASSWORD',
          `this worker has no password for the ${end} of ${task.migration}`,
          `Jobs carry none: set ${passwordVariable(end)} where the worker is started.`,
        )
    const resolved = resolveConfig({ ...given, ...this.placed(given, files) })
    const name = shardName(this.shard)
    const owner = `${name}.${this.epoch}`
    const taken = await this.hasBegun()
    const positions = await link.hgetall(keys.positions)
    const store = new StateStore(stateDir)
    const local = new SettingsLedger(store, task.migration, owner, resolved.source)
    return {
      store,
      ledger: new WorkerLedger(local, link, keys, { migration: task.migration, owner }, await link.hvals(keys.loans)),
      task: {
        ...task,
        config: resolved,
        worker: `${name}:${this.epoch}`,
        shards: this.shard === WHOLE ? [...task.shards] : [this.shard],
        ...(this.shard === WHOLE ? { whole: true } : {}),
        plugins,
        directory: stateDir,
        paused: this.control?.paused ?? false,
        claim: { ...task.claim, epoch: this.epoch, owner, former: null, shard: name },
        resumed:
          task.resumed === null && !taken
            ? null
            : {
                positions: { ...task.resumed?.positions, ...positions },
                held: { from: startedAt, to: Date.now() },
                inSnapshot: resolved.mode === 'snapshot',
              },
      },
    }
  }

  /** Somebody may have written something of this job before, alone or together with others: the target is not as it was found. */
  private async hasBegun(): Promise<boolean> {
    const { link, keys } = this.needs
    const [states, had] = await Promise.all([link.hkeys(keys.state), link.hkeys(keys.holders)])
    const begun = [...states, ...had]
    return this.shard === WHOLE ? begun.length > 0 : begun.includes(this.shard) || begun.includes(WHOLE)
  }

  /** The rules and the script as files of this machine. */
  private placed(given: MigrationConfig, files: QueuedTask['files']): Partial<MigrationConfig> {
    const at = (name: 'transform' | 'transformScript'): Partial<MigrationConfig> => {
      const text = files[name]
      const path = given[name]
      if (text === undefined || path === undefined) return {}
      const file = join(this.tempDir, `${name}${extname(path)}`)
      writeFileSync(file, text, { mode: 0o600 })
      return { [name]: file }
    }
    return {
      ...at('transform'),
      ...at('transformScript'),
      errorsFile: join(this.needs.stateDir, `errors-${this.job.data.migration}.ndjson`),
    }
  }
}

/** An option says where the password is. */
function hasPlace(config: MigrationConfig, end: 'source' | 'target'): boolean {
  const options = end === 'source' ? config.sourceOptions : config.targetOptions
  return Object.keys(options ?? {}).some((name) => /password-(env|file)$/.test(name))
}
