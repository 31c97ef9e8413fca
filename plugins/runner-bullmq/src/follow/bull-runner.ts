import { randomBytes, randomUUID } from 'node:crypto'
import { basename, join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import {
  errorFromTold,
  type Finding,
  type Logger,
  MigrateError,
  type Source,
  type Target,
} from '@ferrite-migrate/contracts'
import {
  type CreateRunner,
  type ResolvedConfig,
  type Runner,
  type ShardTask,
  type ShardWorker,
  type StandingOrders,
  StateCopy,
  type WorkerFacts,
  type WorkerListener,
} from '@ferrite-migrate/core'
import type { Redis } from 'ioredis'
import { type JobQueue, openJobs } from '../connection/bull.js'
import { type QueueAddress, readQueueAddress } from '../connection/queue-address.js'
import { queueFindings, queueFolder, sameAsQueue } from '../connection/queue-check.js'
import { mustAnswer, openLink, openWaiting, queueAway } from '../connection/queue-link.js'
import { QUEUE_NAME, RunKeys, WHOLE } from '../connection/run-keys.js'
import { lastHolder } from '../protocol/holder.js'
import { jobId, shardJob } from '../protocol/job-id.js'
import { keptCounts } from '../protocol/kept-counts.js'
import { queuedTask } from '../protocol/queued-task.js'
import { CHANGE_CONTROL, type Control, controlFields, readControl } from '../protocol/told.js'
import { writtenLoans } from '../protocol/worker-ledger.js'
import { Mirror } from '../shared/mirror.js'
import { placeOf } from '../shared/place.js'
import { QueueJournal } from '../shared/queue-journal.js'
import { isHeld } from '../shared/run-hold.js'
import { livingWorkers } from '../shared/worker-signs.js'
import { RemoteShard } from './remote-shard.js'
import { RunHub } from './run-hub.js'

const SYNC_MS = 500
/** How long workers of a migration that is given up may take to write what they have read, ms. */
const ABANDON_MS = 30_000
const LOOK_MS = 200
const ROUND_BYTES = 4

/** What the queue of a server gives: the shards of migrations run by whoever takes them, on any machine. */
export const createRunner: CreateRunner = async ({ url, stateDir, logger }) => {
  const address = readQueueAddress(url)
  const link = openLink(address)
  try {
    await mustAnswer(link, address.label)
    return new BullRunner(address, link, stateDir, logger)
  } catch (error) {
    link.disconnect()
    throw error
  }
}

class BullRunner implements Runner {
  readonly label: string
  readonly directory: string
  private readonly address: QueueAddress
  private readonly link: Redis
  private readonly logger: Logger
  private readonly copy: StateCopy
  private readonly mirror: Mirror
  private jobs: JobQueue | null = null
  private hub: RunHub | null = null
  private round = ''
  private timer: NodeJS.Timeout | null = null
  private away = false

  constructor(address: QueueAddress, link: Redis, stateDir: string, logger: Logger) {
    this.address = address
    this.label = address.label
    this.link = link
    this.logger = logger
    const folder = queueFolder(address.label, address.prefix)
    // Whoever was told of the shared directory gives that one.
    this.directory = basename(stateDir) === folder ? stateDir : join(stateDir, folder)
    this.copy = new StateCopy(this.directory)
    this.mirror = new Mirror(link, address.prefix, this.copy, placeOf(randomUUID(), this.directory), logger)
  }

  async preflight(source: Source, target: Target, config: ResolvedConfig): Promise<readonly Finding[]> {
    const { label, prefix, options } = this.address
    const findings = await this.asked(() => queueFindings(this.link, label, config))
    if (findings.some(({ level }) => level === 'fail')) return findings
    findings.push(...(await sameAsQueue(this.link, { label, prefix, db: options.db ?? 0 }, source, target)))
    if (target.claim === undefined || target.takeOver === undefined)
      findings.push({
        level: 'fail',
        code: 'FM_QUEUE_TARGET',
        text: 'the target cannot tell a worker from the one that took its place: leave --queue out',
      })
    if (config.mode === 'incremental')
      findings.push({
        level: 'fail',
        code: 'FM_QUEUE_MODE',
        text: 'the passes of an incremental migration are run by one process: leave --queue out',
      })
    const workers = await this.workers()
    const free = workers.filter(({ migration }) => migration === null).length
    const hosts = new Set(workers.map(({ host }) => host)).size
    const wanted = source.shards.length
    findings.push({
      level: free < wanted ? 'warn' : 'info',
      code: 'queue-workers',
      text:
        workers.length === 0
          ? `no worker waits at the queue ${this.label}: start some with ferrite-migrate worker --queue`
          : `${free} of ${workers.length} worker processes on ${hosts} machine${hosts === 1 ? '' : 's'} are free for ${wanted} shard${wanted === 1 ? '' : 's'}; more start as they are needed, up to their --concurrency`,
    })
    return findings
  }

  async hold(id: string): Promise<void> {
    await this.asked(() => this.mirror.hold(id))
    this.keepSynced()
  }

  async letGo(id: string): Promise<void> {
    await this.asked(() => this.mirror.letGo(id))
  }

  async begin(task: Omit<ShardTask, 'worker'>, joined: (shard: string) => void): ReturnType<Runner['begin']> {
    const keys = new RunKeys(this.address.prefix, task.migration)
    const { resumed, paused } = task
    return this.asked(async () => {
      // Nobody may find jobs of a migration that is not known.
      await this.mirror.share(task.migration)
      const known = readControl(await this.link.hgetall(keys.control))
      const attach = resumed !== null && known?.ending === '' && (await this.link.exists(keys.task)) === 1
      const control = attach ? { ...known, frozen: false, tracking: false } : firstControl(paused, task.whole === true)
      if (!attach) {
        await this.link.del(...keys.ofWorkers)
        // Epochs only grow: the target may know of those of a former migration of this name.
        if (resumed === null) await this.link.del(keys.positions, keys.counts)
        await this.link.set(keys.task, JSON.stringify(queuedTask(task, Date.now())))
      }
      const hub = new RunHub(this.link, openWaiting(this.address), keys, this.logger, joined)
      const { version: _, ...fields } = control
      await hub.change(fields)
      this.hub = hub
      this.round = fields.round
      await this.enqueue(control, task, keys)
      await hub.open()
      return { paused: control.paused, counted: await keptCounts(this.link, keys) }
    })
  }

  start(task: ShardTask, listener: WorkerListener): ShardWorker {
    const { hub } = this
    if (hub === null) throw new Error('begin comes first')
    const [shard] = task.shards
    const remote = new RemoteShard(hub, shard, listener, () => this.isLeft(task.migration, shard))
    void this.tellOver(task.migration, shard, remote)
    return remote
  }

  order(orders: Partial<StandingOrders>): void {
    this.hub?.order(orders)
  }

  /** No worker has the shard, or comes back with it. What takes it later finds that nothing is to be done. */
  private async isLeft(id: string, shard: string): Promise<boolean> {
    if (this.jobs === null) return true
    const { prefix } = this.address
    for (const name of [shard, WHOLE]) {
      const job = jobId(id, this.round, name)
      const [state, locked] = await Promise.all([
        this.jobs.getJobState(job),
        this.link.exists(`${prefix}:${QUEUE_NAME}:${job}:lock`),
      ])
      if (state === 'active' && locked === 1) return false
    }
    // One of another round has it: slots have moved meanwhile.
    const living = await livingWorkers(this.link, prefix)
    return !living.some((one) => one.migration === id && (one.shard === shard || one.shard === WHOLE))
  }

  async abandon(id: string): Promise<void> {
    const keys = new RunKeys(this.address.prefix, id)
    await this.asked(async () => {
      if ((await this.link.exists(keys.control)) === 1)
        await this.link.eval(CHANGE_CONTROL, 2, keys.control, keys.orders, ...controlFields({ ending: 'stop' }))
      // What is at work now writes what it has read; what would come back finds nothing to do.
      for (const deadline = Date.now() + ABANDON_MS; Date.now() < deadline; await sleep(LOOK_MS)) {
        const living = await livingWorkers(this.link, this.address.prefix)
        if (!living.some(({ migration }) => migration === id)) break
      }
    })
    await this.finish(id, false)
  }

  async finish(id: string, forGood: boolean): Promise<void> {
    const keys = new RunKeys(this.address.prefix, id)
    for (const loan of await writtenLoans(this.link, keys)) {
      this.copy.putLoan(loan)
      this.logger.log(
        'warn',
        `${loan.what} at the source is as a worker has left it that was lost; the next run there puts it back`,
      )
    }
    if (forGood) await this.journal(id, 0).keepForAWhile()
    await this.link.del(...keys.ofWorkers, keys.loans, ...(forGood ? [keys.counts, keys.positions] : []))
  }

  journal(id: string, limitBytes: number): QueueJournal {
    return new QueueJournal(this.link, this.label, new RunKeys(this.address.prefix, id), limitBytes)
  }

  async sync(): Promise<void> {
    await this.asked(() => this.mirror.sync())
  }

  /** Keeps the directory equal from now on, until it is closed. */
  keepSynced(): void {
    this.timer ??= setInterval(() => {
      void this.mirror.sync().then(
        () => {
          this.away = false
        },
        (error: unknown) => {
          if (!this.away) this.logger.log('warn', queueAway(this.label, error).message)
          this.away = true
        },
      )
    }, SYNC_MS)
    this.timer.unref()
  }

  async isFollowed(id: string): Promise<boolean> {
    return this.asked(() => isHeld(this.link, new RunKeys(this.address.prefix, id)))
  }

  async workers(): Promise<readonly WorkerFacts[]> {
    return this.asked(() => livingWorkers(this.link, this.address.prefix))
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.timer !== null) clearInterval(this.timer)
    await this.hub?.close()
    await this.mirror.sync().catch(() => undefined)
    await this.mirror.release()
    await this.jobs?.close().catch(() => undefined)
    this.link.disconnect()
    this.copy.close()
  }

  /** Jobs that are there already stay as they are. */
  private async enqueue(
    { grouping, round }: Control,
    { migration: id, shards }: Pick<ShardTask, 'migration' | 'shards'>,
    keys: RunKeys,
  ): Promise<void> {
    this.jobs ??= openJobs(this.address.options, this.address.prefix, QUEUE_NAME)
    const over = await this.link.hkeys(keys.over)
    const wanted = grouping === 'whole' ? [WHOLE] : shards
    await this.jobs.addBulk(
      wanted.filter((shard) => !over.includes(shard)).map((shard) => shardJob({ migration: id, shard, round })),
    )
  }

  /** What ended while nobody followed the migration. */
  private async tellOver(id: string, shard: string, remote: RemoteShard): Promise<void> {
    const keys = new RunKeys(this.address.prefix, id)
    const [over, state, holder] = await Promise.all([
      this.link.hmget(keys.over, shard, WHOLE),
      this.link.hget(keys.state, shard),
      lastHolder(this.link, keys, [shard, WHOLE]),
    ]).catch(() => [[null, null], null, null] as const)
    if (holder !== null) remote.placed(holder.by, holder.host)
    if (state !== null)
      for (const event of JSON.parse(state) as readonly Parameters<RemoteShard['told']>[0][]) remote.told(event)
    const text = over[0] ?? over[1]
    if (text === null || text === undefined) return
    const fault = JSON.parse(text) as Parameters<typeof errorFromTold>[0] | null
    remote.over(fault && errorFromTold(fault))
  }

  private async asked<T>(work: () => Promise<T>): Promise<T> {
    try {
      return await work()
    } catch (error) {
      throw error instanceof MigrateError ? error : queueAway(this.label, error)
    }
  }
}

function firstControl(paused: boolean, whole: boolean): Control {
  const round = randomBytes(ROUND_BYTES).toString('hex')
  return { version: 0, paused, ending: '', tracking: false, frozen: false, grouping: whole ? 'whole' : 'apart', round }
}
