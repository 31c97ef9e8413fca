import { type Logger, type LogLevel, MigrateError, type ToldError, toldError } from '@ferrite-migrate/contracts'
import * as v from 'valibot'
import { resolveConfig } from '../config/config.js'
import type { Engine } from '../engine/engine.js'
import type { ShardEvent } from '../engine/events/shard-event.js'
import { shardTaskSchema } from './shard-schema.js'
import type { ShardTask } from './shard-task.js'
import type { FromWorker, ToWorker, WorkerAnswers } from './worker-message.js'
import { WorkerRun } from './worker-run.js'
import { WorkerTrack } from './worker-track.js'

/** How often counts and changed keys are told, ms. */
const TELL_MS = 200
const TRACK_MS = 5

/** A process that runs shards of a migration for another one, which it speaks to over the channel it was started with. */
class Worker {
  private readonly reading = new AbortController()
  private readonly stopping = new AbortController()
  private run: WorkerRun | null = null
  private engine: Engine | null = null
  private track: WorkerTrack | null = null
  private frozen: WorkerTrack | null = null
  private tracking: NodeJS.Timeout | undefined

  async take(message: ToWorker): Promise<void> {
    switch (message.kind) {
      case 'run':
        return this.work(message.task)
      case 'end-reading':
        return this.reading.abort()
      case 'stop':
        this.run?.gate.end()
        this.stopping.abort()
        return this.reading.abort()
      case 'pause':
        return this.run?.gate.pause()
      case 'resume':
        return this.run?.gate.resume()
      case 'track':
        this.track = message.on ? new WorkerTrack(false) : null
        this.follow()
        return this.engine?.track(this.track)
      case 'ask':
        return this.reply(message)
    }
  }

  private async work(given: ShardTask): Promise<void> {
    const counting = setInterval(() => this.count(), TELL_MS)
    let fault: ToldError | null = null
    try {
      // Secrets of the task are known as such from here on.
      const task: ShardTask = { ...v.parse(shardTaskSchema, given), config: resolveConfig(given.config) }
      this.run = new WorkerRun(task, {
        logger: this.logger(),
        signal: this.reading.signal,
        stopping: this.stopping.signal,
        tell: (event) => this.tell(event),
      })
      this.engine = await this.run.open()
      await this.engine.track(this.track)
      await this.engine.run()
    } catch (error) {
      fault = toldError(error)
    }
    clearInterval(counting)
    clearInterval(this.tracking)
    this.count()
    await this.run?.close().catch(() => undefined)
    this.send({ kind: 'over', fault })
    process.disconnect()
  }

  private tell(event: ShardEvent): void {
    this.send({ kind: 'event', event })
  }

  private count(): void {
    if (this.run !== null) this.tell({ kind: 'counted', counts: this.run.progress.counts() })
  }

  /** Changed keys go before whatever tells that they were applied. */
  private send(message: FromWorker): void {
    if (!process.connected) return
    this.sendChanged()
    process.send?.(message)
  }

  private sendChanged(): void {
    for (const track of [this.track, this.frozen]) {
      const changed = track?.take() ?? null
      if (changed !== null) process.send?.(changed)
    }
  }

  /** While somebody wants to know which keys change, they are told soon, and how far was read. */
  private follow(): void {
    clearInterval(this.tracking)
    if (this.track === null && this.frozen === null) return
    this.tracking = setInterval(() => {
      this.sendChanged()
      if (this.frozen === null) return
      for (const [shard, position] of this.engine?.read() ?? []) this.send({ kind: 'seen', shard, position })
    }, TRACK_MS)
  }

  private async reply({ id, what, keys }: Extract<ToWorker, { kind: 'ask' }>): Promise<void> {
    const engine = this.engine
    try {
      if (engine === null)
        throw new MigrateError('FM_WORKER_LOST', 'the worker has not begun yet', 'Try again in a moment.', {
          retryable: true,
        })
      this.send({ kind: 'answer', id, answer: await this.answer(engine, what, keys) })
    } catch (error) {
      this.send({ kind: 'refusal', id, fault: toldError(error) })
    }
  }

  private async answer(
    engine: Engine,
    what: keyof WorkerAnswers,
    keys: Extract<ToWorker, { kind: 'ask' }>['keys'],
  ): Promise<WorkerAnswers[keyof WorkerAnswers]> {
    const asBuffers = keys.map(({ db, key }) => ({ db, key: Buffer.from(key) }))
    switch (what) {
      case 'settle':
        return void (await engine.settle())
      case 'mustKeep':
        return void (await engine.mustKeep())
      case 'freeze':
        this.frozen = new WorkerTrack(true)
        await engine.freeze(this.frozen)
        return void this.follow()
      case 'thaw':
        this.frozen = null
        this.follow()
        return void (await engine.thaw())
      case 'lags':
        return (await Promise.allSettled(engine.lags().map(({ lag }) => lag))).map((one) =>
          one.status === 'fulfilled' ? one.value : null,
        )
      case 'repair':
        return void (await engine.repair(asBuffers))
      case 'readBoth': {
        const reader = this.run!.reader()
        try {
          const both = await engine.readBoth(asBuffers, reader)
          return both && { source: both.source.map(plain), target: both.target.map(plain) }
        } finally {
          await reader.close()
        }
      }
    }
  }

  private logger(): Logger {
    return {
      log: (level: LogLevel, text: string) => this.send({ kind: 'log', level, text }),
      enabled: (level) => level !== 'trace' && level !== 'debug',
    }
  }
}

/** A record as an object that can be sent: a packed one is a view. */
function plain<T extends { db: number; key: Buffer; value: unknown; expireAt: number }>(
  record: T | null,
): Pick<T, 'db' | 'key' | 'value' | 'expireAt'> | null {
  return record && { db: record.db, key: record.key, value: record.value, expireAt: record.expireAt }
}

const worker = new Worker()
process.on('message', (message: ToWorker) => void worker.take(message))
// Without the process of the migration there is nothing to go on for: what was not written comes again.
process.on('disconnect', () => process.exit(0))
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => undefined)
