import { type Logger, type LogLevel, MigrateError, type ToldError, toldError } from '@ferrite-migrate/contracts'
import * as v from 'valibot'
import { resolveConfig } from '../config/config.js'
import type { Engine } from '../engine/engine.js'
import type { ShardEvent } from '../engine/events/shard-event.js'
import type { SharedJournal } from '../rollback/shared-journal.js'
import { shardTaskSchema } from './shard-schema.js'
import type { ShardTask } from './shard-task.js'
import type { FromWorker, ToWorker, WorkerAnswers } from './worker-message.js'
import { type WorkerRight, WorkerRun } from './worker-run.js'
import { WorkerTrack } from './worker-track.js'

/** How often counts and changed keys are told, ms. */
const TELL_MS = 200
const TRACK_MS = 5

/** What a worker speaks through, and by what right it writes. */
export interface WorkerSessionNeeds {
  /** Carries a message to whoever follows the migration; false = nobody can be told any more. */
  send(message: FromWorker): void
  readonly right?: WorkerRight
  /** Where it is kept what the target held before; absent = the directory of the task. */
  readonly journal?: SharedJournal
  /** Changes are only noted from the beginning on, until a `thaw`. */
  readonly frozen?: boolean
  /** How often counts are told, ms. */
  readonly tellMs?: number
}

/** The work on one task: its shards run, questions about them answered. Ends with a message `over`. */
export class WorkerSession {
  private readonly reading = new AbortController()
  private readonly stopping = new AbortController()
  private run: WorkerRun | null = null
  private engine: Engine | null = null
  private track: WorkerTrack | null = null
  private frozen: WorkerTrack | null = null
  private tracking: NodeJS.Timeout | undefined
  private readonly needs: WorkerSessionNeeds
  private over = false
  /** Ends a comparison that nobody waits for any more. */
  private comparing = new AbortController()

  constructor(needs: WorkerSessionNeeds) {
    this.needs = needs
  }

  /** What runs, once both ends are open. */
  get running(): { readonly engine: Engine; readonly run: WorkerRun } | null {
    return this.engine === null || this.run === null ? null : { engine: this.engine, run: this.run }
  }

  /** Changes are only noted. */
  get isFrozen(): boolean {
    return this.frozen !== null || (this.engine === null && this.needs.frozen === true)
  }

  /** @throws whatever the engine does; FM_WORKER_LOST when it has not begun yet */
  async freezeOrThaw(freeze: boolean): Promise<void> {
    if (this.engine === null) throw notBegun()
    await (freeze ? this.freeze(this.engine) : this.thaw(this.engine))
  }

  async take(message: ToWorker): Promise<void> {
    switch (message.kind) {
      case 'run':
        return this.work(message.task)
      case 'end-reading':
        return this.reading.abort()
      case 'stop':
        this.run?.gate.end()
        this.endComparing()
        this.stopping.abort()
        return this.reading.abort()
      case 'pause':
        return this.run?.gate.pause()
      case 'resume':
        return this.run?.gate.resume()
      case 'track':
        this.track = message.on ? new WorkerTrack(false) : null
        if (!message.on) this.endComparing()
        this.follow()
        return this.engine?.track(this.track)
      case 'ask':
        return this.reply(message)
    }
  }

  private async work(given: ShardTask): Promise<void> {
    const counting = setInterval(() => this.count(), this.needs.tellMs ?? TELL_MS)
    let fault: ToldError | null = null
    try {
      // Secrets of the task are known as such from here on.
      const task: ShardTask = { ...v.parse(shardTaskSchema, given), config: resolveConfig(given.config) }
      this.run = new WorkerRun(task, {
        logger: this.logger(),
        signal: this.reading.signal,
        stopping: this.stopping.signal,
        tell: (event) => this.tell(event),
        ...(this.needs.right === undefined ? {} : { right: this.needs.right }),
        ...(this.needs.journal === undefined ? {} : { journal: this.needs.journal }),
      })
      this.engine = await this.run.open()
      await this.engine.track(this.track)
      if (this.needs.frozen === true) await this.freeze(this.engine)
      await this.engine.run()
    } catch (error) {
      fault = toldError(error)
    }
    clearInterval(counting)
    clearInterval(this.tracking)
    this.count()
    await this.run?.close().catch(() => undefined)
    this.send({ kind: 'over', fault })
    this.over = true
  }

  private tell(event: ShardEvent): void {
    this.send({ kind: 'event', event })
  }

  private count(): void {
    if (this.run !== null) this.tell({ kind: 'counted', counts: this.run.progress.counts() })
  }

  /** Changed keys go before whatever tells that they were applied. */
  private send(message: FromWorker): void {
    if (this.over) return
    this.sendChanged()
    this.needs.send(message)
  }

  private sendChanged(): void {
    for (const track of [this.track, this.frozen]) {
      const changed = track?.take() ?? null
      if (changed !== null) this.needs.send(changed)
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

  private async freeze(engine: Engine): Promise<undefined> {
    this.frozen ??= new WorkerTrack(true)
    await engine.freeze(this.frozen)
    this.follow()
  }

  private async thaw(engine: Engine): Promise<undefined> {
    this.frozen = null
    this.follow()
    await engine.thaw()
  }

  private async reply({ id, what, keys }: Extract<ToWorker, { kind: 'ask' }>): Promise<void> {
    const engine = this.engine
    try {
      if (engine === null) throw notBegun()
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
        return this.freeze(engine)
      case 'thaw':
        return this.thaw(engine)
      case 'lags':
        return (await Promise.allSettled(engine.lags().map(({ lag }) => lag))).map((one) =>
          one.status === 'fulfilled' ? one.value : null,
        )
      case 'compare':
        return this.run!.compare(engine, AbortSignal.any([this.comparing.signal, this.reading.signal]))
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

  private endComparing(): void {
    this.comparing.abort()
    this.comparing = new AbortController()
  }

  private logger(): Logger {
    return {
      log: (level: LogLevel, text: string) => this.send({ kind: 'log', level, text }),
      enabled: (level) => level !== 'trace' && level !== 'debug',
    }
  }
}

function notBegun(): MigrateError {
  return new MigrateError('FM_WORKER_LOST', 'the worker has not begun yet', 'Try again in a moment.', {
    retryable: true,
  })
}

/** A record as an object that can be sent: a packed one is a view. */
function plain<T extends { db: number; key: Buffer; value: unknown; expireAt: number }>(
  record: T | null,
): Pick<T, 'db' | 'key' | 'value' | 'expireAt'> | null {
  return record && { db: record.db, key: record.key, value: record.value, expireAt: record.expireAt }
}
