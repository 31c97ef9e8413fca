import { createHash, randomUUID } from 'node:crypto'
import { basename, join } from 'node:path'
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
  type QueuedRun,
  type ResolvedConfig,
  type Runner,
  type ShardTask,
  type ShardWorker,
  StateCopy,
  type WorkerFacts,
  type WorkerListener,
} from '@ferrite-migrate/core'
import { parseEndpoint, RedisLink, readInfo } from '@ferrite-migrate/redis'
import type { Redis } from 'ioredis'
import { type JobQueue, openJobs } from '../connection/bull.js'
import { type QueueAddress, readQueueAddress } from '../connection/queue-address.js'
import { queueFindings, queueFolder } from '../connection/queue-check.js'
import { openLink, openWaiting, queueAway } from '../connection/queue-link.js'
import { QUEUE_NAME, RunKeys, WHOLE } from '../connection/run-keys.js'
import { jobId } from '../protocol/job-id.js'
import type { KeptCounts } from '../protocol/kept-counts.js'
import { queuedTask } from '../protocol/queued-task.js'
import { type Control, readControl } from '../protocol/told.js'
import { Mirror } from '../shared/mirror.js'
import { placeOf } from '../shared/place.js'
import { livingWorkers } from '../shared/worker-signs.js'
import { RemoteShard } from './remote-shard.js'
import { RunHub } from './run-hub.js'

const SYNC_MS = 500
/** For how long what is over is remembered among the names of jobs. */
const ROUND_BYTES = 4

/** What the queue of a server gives: the shards of migrations run by whoever takes them, on any machine. */
export const createRunner: CreateRunner = async ({ url, stateDir, logger }) => {
  const address = readQueueAddress(url)
  const link = openLink(address)
  try {
    await link.ping()
    return new BullRunner(address, link, stateDir, logger)
  } catch (error) {
    link.disconnect()
    throw queueAway(address.label, error)
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
    const findings = await queueFindings(this.link, this.label, {
      source: await runIds(config.source, config.sourceOptions),
      target: await runIds(config.target, config.targetOptions),
    }).catch((error) => {
      throw queueAway(this.label, error)
    })
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
    const workers = await livingWorkers(this.link, this.address.prefix)
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

  async begin(
    run: QueuedRun,
    task: Omit<ShardTask, 'worker' | 'paused'>,
    joined: (shard: string) => void,
  ): ReturnType<Runner['begin']> {
    const keys = new RunKeys(this.address.prefix, run.id)
    return this.asked(async () => {
      const known = readControl(await this.link.hgetall(keys.control))
      const attach = run.resumed && known !== null && known.ending === '' && (await this.link.exists(keys.task)) === 1
      const control = attach ? { ...known, frozen: false, tracking: false } : firstControl(run)
      if (!attach) {
        await this.link.del(...keys.ofWorkers)
        // Epochs only grow: the target may know of those of a former migration of this name.
        if (!run.resumed) await this.link.del(keys.positions)
        await this.link.set(keys.task, JSON.stringify(queuedTask(task, Date.now())))
      }
      const hub = new RunHub(this.link, openWaiting(this.address), keys, this.logger, joined)
      const { version: _, ...fields } = control
      await hub.change(fields)
      this.hub = hub
      this.round = fields.round
      await this.enqueue(run.id, control, run.shards, keys)
      const epochOf = (field: string): number => Number(field.slice(field.lastIndexOf(' ')))
      const counted = Object.entries(await this.link.hgetall(keys.counts))
        .sort(([a], [b]) => epochOf(a) - epochOf(b))
        .map(([, text]) => JSON.parse(text) as KeptCounts)
      await hub.open()
      return { paused: control.paused, counted: counted.map(({ counts }) => counts) }
    })
  }

  start(task: ShardTask, listener: WorkerListener): ShardWorker {
    if (this.hub === null) throw new Error('begin comes first')
    const [shard] = task.shards
    const remote = new RemoteShard(this.hub, shard, listener, () => this.isLeft(task.migration, shard))
    void this.tellOver(task.migration, task.shards[0], remote)
    return remote
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

  async finish(id: string): Promise<void> {
    const keys = new RunKeys(this.address.prefix, id)
    await this.link.del(...keys.ofWorkers, keys.loans)
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
    return this.asked(async () => (await this.link.exists(new RunKeys(this.address.prefix, id).hold)) === 1)
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
  private async enqueue(id: string, control: Control, shards: readonly string[], keys: RunKeys): Promise<void> {
    this.jobs ??= openJobs(this.address.options, this.address.prefix, QUEUE_NAME)
    const over = await this.link.hkeys(keys.over)
    const wanted = control.grouping === 'whole' ? [WHOLE] : shards
    const { round } = control
    await this.jobs.addBulk(
      wanted
        .filter((shard) => !over.includes(shard))
        .map((shard) => ({
          name: 'shard',
          data: { migration: id, shard, round },
          opts: { jobId: jobId(id, round, shard) },
        })),
    )
  }

  /** What ended while nobody followed the migration. */
  private async tellOver(id: string, shard: string, remote: RemoteShard): Promise<void> {
    const keys = new RunKeys(this.address.prefix, id)
    const [over, state] = await Promise.all([
      this.link.hmget(keys.over, shard, WHOLE),
      this.link.hget(keys.state, shard),
    ]).catch(() => [[null, null], null] as const)
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

function firstControl(run: QueuedRun): Control {
  const round = createHash('sha1')
    .update(randomUUID())
    .digest('hex')
    .slice(0, ROUND_BYTES * 2)
  return { version: 0, paused: run.paused, ending: '', tracking: false, frozen: false, grouping: 'apart', round }
}

/** Who the servers of an end say they are; none where it is no such server, or does not say. */
async function runIds(url: string, options: Readonly<Record<string, string | number | boolean>>): Promise<string[]> {
  if (!/^(redis|valkey|ferrite)/.test(url)) return []
  let link: RedisLink | null = null
  try {
    const endpoint = parseEndpoint(
      url.replace(/-cluster:|\+cluster:/, ':').replace(/^(\w+:\/\/(?:[^@/]*@)?[^,/]+),[^/]*/, '$1'),
      options,
    )
    link = await RedisLink.open(endpoint)
    const info = await readInfo(link, 'server')
    endpoint.moving?.close()
    return [info.get('run_id') ?? '']
  } catch {
    return []
  } finally {
    link?.close()
  }
}
