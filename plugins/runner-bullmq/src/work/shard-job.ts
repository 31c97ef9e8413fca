import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { errorFromTold, type Lag, MigrateError, type ToldError } from '@ferrite-migrate/contracts'
import {
  type FromWorker,
  measureWork,
  ShardTally,
  type ShardTask,
  storedMetrics,
  WorkerSession,
  withoutPassword,
} from '@ferrite-migrate/core'
import type { Redis } from 'ioredis'
import type { ShardJob as Job, JobQueue } from '../connection/bull.js'
import { type RunKeys, WHOLE } from '../connection/run-keys.js'
import { type Holder, noteHolder, readHolder } from '../protocol/holder.js'
import type { QueuedTask } from '../protocol/queued-task.js'
import { CHANGE_CONTROL, type Control, controlFields, type Question, readControl } from '../protocol/told.js'
import { fromWire } from '../protocol/wire.js'
import { WorkerLedger } from '../protocol/worker-ledger.js'
import { QueueJournal } from '../shared/queue-journal.js'
import { Grouping } from './grouping.js'
import type { JobLock } from './job-lock.js'
import { jobTask } from './job-task.js'
import { Outbox } from './outbox.js'

/** How often the record of what to do is read where nothing woke us, ms. */
const LOOK_MS = 1000
const AGAIN_MS = 300
/** How long a shard may take to say how far it is behind, ms. */
const LAG_MS = 1500
/** A source or target that is away for so long is given to another machine, where there is one, ms. */
const AWAY_MS = 15_000
const BEAT_MS = 1000
const BEGUN_LOOK_MS = 100
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

/** Faults of a machine, not of the migration: whoever began it has opened both ends. */
const OF_MACHINE = /^FM_(AUTH_|PLUGIN_|RESUME_PASSWORD|ENV_MISSING|FILE_|TLS_FILE|PACKAGE_MISSING|STATE_DIR)/

/** What a job needs of the worker that has taken it. */
export interface ShardJobNeeds {
  readonly link: Redis
  /** Of the queue, safe to print. */
  readonly label: string
  /** A connection of its own, which waits for orders. */
  readonly orders: Redis
  readonly jobs: JobQueue
  readonly keys: RunKeys
  readonly lock: JobLock
  /** Of the worker and its machine, as people see them. */
  readonly name: string
  readonly host: string
  readonly stateDir: string
  readonly plugins: ShardTask['plugins']
  say(text: string): void
  /** It runs. */
  begun(): void
  /** Takes what is measured, about once a second, as `storedMetrics` writes it; absent = nobody wants it. */
  measured?(samples: string): void
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
  private readonly grouping: Grouping
  private readonly tally = new ShardTally()
  /** Shards whose first copy is done. */
  private readonly live = new Set<string>()
  /** When both ends answered last, ms. */
  private readonly seen = { source: Date.now(), target: Date.now() }
  /** Resolves when what is under way is not waited for. */
  private readonly dropped = Promise.withResolvers<void>()
  private session: WorkerSession | null = null
  private outbox: Outbox | null = null
  private control: Control | null = null
  private epoch = 0
  private cursor = '$'
  private fault: ToldError | null = null
  /** The job is none any more. */
  private yields = false
  /** Its shards are never read apart. */
  private staysWhole = false
  /** Why another worker is to go on. */
  private given: MigrateError | null = null

  constructor(job: Job, needs: ShardJobNeeds) {
    this.job = job
    this.needs = needs
    this.shard = job.data.shard
    this.grouping = new Grouping(needs.link, needs.keys, needs.jobs, job.data)
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
      const told = readControl(fields)
      if (text === null || told === null || isOver === 1 || told.ending !== '') return { kind: 'done' }
      const control = this.grouping.isOfNow(told) ? told : await this.grouping.announce(told)
      if (control === null) return { kind: 'done' }
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
    this.leave()
  }

  private leave(): void {
    // While it is paused nothing may be written: what was read comes again.
    if (this.control?.paused === true) this.dropped.resolve()
    else void this.session?.take({ kind: 'end-reading' })
  }

  private get what(): string {
    return `${this.shard === WHOLE ? 'all shards' : `the shard ${this.shard}`} of ${this.job.data.migration}`
  }

  private async work(queued: QueuedTask, control: Control): Promise<JobEnd> {
    const { link, label, keys, lock, name, say, stateDir, plugins } = this.needs
    const { shard, tempDir } = this
    if (shard === WHOLE) await this.grouping.awaitOthers()
    this.cursor = (await link.xrevrange(keys.orders, '+', '-', 'COUNT', 1))[0]?.[0] ?? '0'
    // From here on every other one that believes to have the shard is behind.
    const epoch = await link.incr(keys.epoch)
    this.epoch = epoch
    const former = await readHolder(link, keys, shard)
    const task = await jobTask(queued, { link, keys, shard, epoch, paused: control.paused, stateDir, plugins, tempDir })
    this.staysWhole = queued.task.whole === true
    const outbox = new Outbox(link, keys, shard, epoch)
    this.outbox = outbox
    const afterMs = former === null ? null : Date.now() - former.at
    outbox.tell({ kind: 'taken', by: name, host: this.needs.host, afterMs, gaveBack: former?.gaveBack ?? false })
    await this.noteHolder(false)
    say(`has ${this.what} (epoch ${epoch})`)
    const { migration, config, claim } = task
    const borrower = { migration, owner: claim.owner, server: withoutPassword(config.source) }
    const session = new WorkerSession({
      send: (message) => this.send(message),
      right: {
        check: () => lock.check(),
        ledger: await WorkerLedger.open(link, keys, borrower),
      },
      ...(task.journal ? { journal: new QueueJournal(link, label, keys, config.undoLimit) } : {}),
      frozen: control.frozen && (await link.exists(keys.hold)) === 1,
      tellMs: BEAT_MS,
    })
    this.session = session
    if (control.tracking) void session.take({ kind: 'track', on: true })
    const beating = setInterval(() => void this.beat(session).catch(() => undefined), BEAT_MS)
    const obeying = this.obey(session)
    try {
      const over = session.take({ kind: 'run', task })
      void this.awaitBegin(session)
      // Asked to stop while it was being opened.
      if (this.given !== null) this.leave()
      await Promise.race([over, this.dropped.promise])
    } finally {
      clearInterval(beating)
      this.over.abort()
      this.needs.orders.disconnect(true)
      await obeying
    }
    lock.check()
    return this.end(outbox)
  }

  private async awaitBegin(session: WorkerSession): Promise<void> {
    while (session.running === null && !this.over.signal.aborted) await sleep(BEGUN_LOOK_MS)
    this.needs.begun()
  }

  private async end(outbox: Outbox): Promise<JobEnd> {
    const { link, keys } = this.needs
    const fault = this.fault
    await outbox.settle()
    if (fault !== null && fault.code === 'FM_SHARDS_MOVED') {
      await this.regroup('whole', [])
      return { kind: 'done' }
    }
    // The lock is this worker's, and the target knows of a higher epoch: the queue has lost its memory.
    if (fault !== null && fault.code === 'FM_RUN_TAKEN') await link.incrby(keys.epoch, EPOCHS_LOST)
    if (fault !== null && (fault.retryable || fault.code === 'FM_RUN_TAKEN' || OF_MACHINE.test(fault.code)))
      return this.giveBack(OF_MACHINE.test(fault.code) ? 'unfit' : 'returned', errorFromTold(fault))
    if (this.given !== null && fault === null) return this.giveBack('returned', this.given)
    if (this.yields && fault === null) return { kind: 'done' }
    await link.hset(keys.over, this.shard, JSON.stringify(fault))
    outbox.tell({ kind: 'over', fault })
    await outbox.settle()
    this.needs.say(`is done with ${this.what}`)
    return { kind: 'done' }
  }

  /** Whoever takes it next sees that nobody was lost. */
  private async giveBack(kind: 'unfit' | 'returned', why: MigrateError): Promise<JobEnd> {
    await this.noteHolder(true)
    return { kind, why }
  }

  private send(message: FromWorker): void {
    if (message.kind === 'over') this.fault = message.fault
    else this.outbox?.tell(message)
    if (message.kind !== 'event') return
    this.tally.hear(message.event)
    if (message.event.kind !== 'phase') return
    const { phase, shard } = message.event
    if (phase === 'LIVE_SYNC') this.live.add(shard)
    else this.live.delete(shard)
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
    if (control === null || !this.grouping.isOfNow(control)) {
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
    if (what === 'compare') this.needs.say(`compares ${this.what} at both ends`)
    if (what !== 'lags') return session.take({ kind: 'ask', id, what, keys })
    this.outbox?.tell({ kind: 'lags', id, lags: await this.lags(session) })
  }

  private async lags(session: WorkerSession): Promise<readonly (readonly [string, Lag | null])[]> {
    const all = session.running?.engine.lags() ?? []
    return Promise.all(
      all.map(
        async ({ shard, lag }) => [shard, await Promise.race([lag, sleep(LAG_MS, null)]).catch(() => null)] as const,
      ),
    )
  }

  private async noteHolder(gaveBack: boolean): Promise<void> {
    const { link, keys, name, host } = this.needs
    const holder: Holder = { by: name, host, pid: process.pid, epoch: this.epoch, at: Date.now(), gaveBack }
    await noteHolder(link, keys, this.shard, holder)
  }

  /** Both ends must be there: a machine that cannot reach one of them gives the shard to another machine. */
  private async beat(session: WorkerSession): Promise<void> {
    void this.noteHolder(false).catch(() => undefined)
    const running = session.running
    if (running === null) return
    void this.measure(session)
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
    if (this.shard === WHOLE && !this.staysWhole) await this.perhapsApart(session)
  }

  private async measure(session: WorkerSession): Promise<void> {
    const { progress } = session.running?.run ?? {}
    if (this.needs.measured === undefined || progress === undefined) return
    const lags = await this.lags(session)
    // Told after its end it would stand for what this worker has now.
    if (this.over.signal.aborted) return
    for (const [shard, lag] of lags)
      if (lag === null) this.tally.lags.delete(shard)
      else this.tally.lags.set(shard, lag)
    this.needs.measured(storedMetrics(measureWork({ progress, tally: this.tally })))
  }

  /** Once all slots are at rest for a while, each shard is read by a worker of its own again. */
  private async perhapsApart(session: WorkerSession): Promise<void> {
    const lags = await this.lags(session)
    // A cutover is under way, or a comparison: what is asked of this worker would be lost.
    const isAsked = this.control?.frozen === true || this.control?.tracking === true
    const allLive = lags.every(([shard]) => this.live.has(shard))
    if (!this.grouping.isAtRest(lags) || !allLive || isAsked || this.yields) return
    await this.regroup(
      'apart',
      lags.map(([shard]) => shard),
    )
  }

  private async regroup(grouping: Control['grouping'], shards: readonly string[]): Promise<void> {
    const text = await this.grouping.change(grouping, shards)
    if (text === null) return
    this.outbox?.tell({ kind: 'event', event: { kind: 'note', shard: this.shard, type: 'shards', text } })
    await this.outbox?.settle()
    this.needs.say(text)
  }
}
