import { randomUUID } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { machineName, type WorkerFacts } from '@ferrite-migrate/core'
import type { Redis } from 'ioredis'
import { type ShardJob as Job, type JobWorker, openJobs, openTaker } from '../connection/bull.js'
import { type QueueAddress, readQueueAddress } from '../connection/queue-address.js'
import { mustAnswer, openLink, openWaiting } from '../connection/queue-link.js'
import { QUEUE_NAME, RunKeys } from '../connection/run-keys.js'
import { livingWorkers, signOff, signOfLife } from '../shared/worker-signs.js'
import { JobLock } from './job-lock.js'
import { ShardJob } from './shard-job.js'
import type { FromShardProcess, ShardProcessTask } from './worker-message.js'

/** How often locks are looked for that were lost, ms. */
const STALLED_MS = 2000
const SIGN_MS = 1000
const AGAIN_MS = 500
/** A job that this machine could not do is left to others for so long, ms. */
const UNFIT_MS = 10_000
/** The code of a process that has lost its job. */
const LOST_JOB = 75

/** A process that takes one job after the other, and ends itself as soon as it may not write any more. */
export class ShardProcess {
  private readonly task: ShardProcessTask
  private readonly address: QueueAddress
  private readonly link: Redis
  private readonly taker: JobWorker
  private readonly tell: (message: FromShardProcess) => void
  private current: { readonly job: Job; readonly run: ShardJob } | null = null
  private stopped = false

  /** @throws MigrateError FM_URL_INVALID */
  constructor(task: ShardProcessTask, tell: (message: FromShardProcess) => void) {
    this.task = task
    this.tell = tell
    this.address = readQueueAddress(task.url)
    // A renewal that is not answered soon is asked for once more.
    this.link = openLink(this.address, { commandTimeout: Math.max(500, task.lockMs / 2.5) })
    this.taker = openTaker({ ...this.address.options, maxRetriesPerRequest: null }, this.address.prefix, QUEUE_NAME, {
      lockMs: task.lockMs,
      stalledMs: Math.min(STALLED_MS, task.lockMs),
    })
  }

  /** Takes jobs until it is told to stop. @throws MigrateError FM_QUEUE_* when the queue cannot be reached at the start */
  async run(): Promise<void> {
    await mustAnswer(this.link, this.address.label)
    await this.taker.startStalledCheckTimer()
    const signs = setInterval(() => void this.sign(), SIGN_MS)
    await this.sign()
    this.tell({ kind: 'waits' })
    while (!this.stopped) {
      const token = randomUUID()
      const job = await this.taker.getNextJob(token).catch(async () => {
        await sleep(AGAIN_MS)
        return undefined
      })
      if (job !== undefined) await this.do(job, token)
    }
    clearInterval(signs)
    await signOff(this.link, this.address.prefix, this.task.name).catch(() => undefined)
    await Promise.race([this.taker.close(true).catch(() => undefined), sleep(1000)])
    this.link.disconnect()
  }

  stop(): void {
    this.stopped = true
    if (this.current === null) void this.leave()
    else this.current.run.stop()
  }

  /** Nobody waits for what a waiting connection would say. */
  private async leave(): Promise<void> {
    await signOff(this.link, this.address.prefix, this.task.name).catch(() => undefined)
    process.exit(0)
  }

  private async do(job: Job, token: string): Promise<void> {
    const { migration, shard } = job.data
    const lock = new JobLock(job, token, this.task.lockMs, (error) => {
      this.tell({ kind: 'said', level: 'warn', text: error.message })
      // Nothing of this process may be left that could still write: buffers, timers, half-made transactions.
      process.exit(LOST_JOB)
    })
    await lock.begin()
    const keys = new RunKeys(this.address.prefix, migration)
    const orders = openWaiting(this.address)
    const jobs = openJobs(this.address.options, this.address.prefix, QUEUE_NAME)
    const run = new ShardJob(job, {
      ...{
        link: this.link,
        label: this.address.label,
        orders,
        jobs,
        keys,
        lock,
        name: this.task.name,
        host: machineName(),
      },
      ...{ stateDir: this.task.stateDir, plugins: this.task.plugins },
      say: (text) => this.tell({ kind: 'works', text }),
      begun: () => this.tell({ kind: 'begun' }),
      ...(this.task.measures ? { measured: (samples) => this.tell({ kind: 'measured', migration, samples }) } : {}),
      hasOthers: async () => {
        const living = await livingWorkers(this.link, this.address.prefix)
        return living.some(({ host }) => host !== machineName())
      },
    })
    this.current = { job, run }
    if (this.stopped) run.stop()
    await this.sign()
    try {
      const end = await run.run()
      if (end.kind === 'done') await job.moveToCompleted(null, token, false)
      else {
        this.tell({ kind: 'said', level: 'warn', text: `${shard} of ${migration} is given back: ${end.why.message}` })
        const later = this.stopped ? 0 : end.kind === 'unfit' ? UNFIT_MS : AGAIN_MS
        await job.moveToDelayed(Date.now() + later, token).catch(delayed)
        if (end.kind === 'unfit') {
          this.tell({ kind: 'unfit', text: `${end.why.message}. ${end.why.hint}` })
          if (!this.stopped) await sleep(UNFIT_MS)
        }
      }
    } finally {
      lock.end()
      orders.disconnect()
      await jobs.close().catch(() => undefined)
      this.current = null
    }
    if (!this.stopped) this.tell({ kind: 'waits' })
  }

  private async sign(): Promise<void> {
    const { job } = this.current ?? {}
    const facts: Omit<WorkerFacts, 'seenAt'> = {
      name: this.task.name,
      host: machineName(),
      pid: process.pid,
      migration: job?.data.migration ?? null,
      shard: job?.data.shard ?? null,
    }
    await signOfLife(this.link, this.address.prefix, facts).catch(() => undefined)
  }
}

/** BullMQ tells by an error that a job is to be tried later, which is what was asked for. */
function delayed(error: unknown): void {
  if (!(error instanceof Error) || error.name !== 'DelayedError') throw error
}
