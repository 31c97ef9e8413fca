import { setTimeout as sleep } from 'node:timers/promises'
import { errorFromTold, type Lag, type Logger, MigrateError } from '@ferrite-migrate/contracts'
import type { ToldByWorker } from '@ferrite-migrate/core'
import type { Redis } from 'ioredis'
import { type RunKeys, WHOLE } from '../connection/run-keys.js'
import { CHANGE_CONTROL, type Control, controlFields, type Question, type Told } from '../protocol/told.js'
import { fromWire, toWire } from '../protocol/wire.js'

/** Entries that are read at once, and how long is waited for one, ms. */
const ENTRIES = 500
const BLOCK_MS = 500
const AGAIN_MS = 500
/** How long workers have to say how far they are behind. */
const LAG_MS = 2000

/** Whom a hub tells of one shard. */
export interface ShardEar {
  told(message: ToldByWorker): void
  /** A worker has it from now on. */
  placed(worker: string, host: string): void
  /** Its worker is another one now. */
  replaced(why: MigrateError): void
  over(error: MigrateError | null): void
}

type Answer = Extract<Told, { kind: 'answer' | 'refusal' | 'lags' }>

function isAnswer(message: Told): message is Answer {
  return message.kind === 'answer' || message.kind === 'refusal' || message.kind === 'lags'
}

interface Waiting {
  readonly shard: string
  readonly promise: PromiseWithResolvers<unknown>
}

/** Hears what the workers of one migration tell, asks them, and changes what they are to do. */
export class RunHub {
  private readonly link: Redis
  private readonly waitingLink: Redis
  private readonly keys: RunKeys
  private readonly logger: Logger
  private readonly joined: (shard: string) => void
  private readonly ears = new Map<string, ShardEar>()
  /** Told of shards that nobody listens to at the moment. */
  private readonly kept = new Map<string, Told[]>()
  private readonly epochs = new Map<string, number>()
  /** The epoch of the worker that has all shards; 0 = each has its own. */
  private whole = 0
  private readonly acks = new Map<string, { epoch: number; version: number }>()
  private readonly questions = new Map<number, Waiting>()
  private lagAnswers: {
    readonly id: number
    readonly lags: Map<string, Lag | null>
    readonly done: Promise<void>
  } | null = null
  private lagSettled: (() => void) | null = null
  private next = Date.now()
  private cursor = '0'
  private closed = false
  /** What was asked for last, by field, and its version. */
  private set: Record<string, unknown> = {}
  private changed: Promise<number> = Promise.resolve(0)
  private listening: Promise<void> = Promise.resolve()

  /** @param joined told of a shard that nobody listens to yet */
  constructor(link: Redis, waitingLink: Redis, keys: RunKeys, logger: Logger, joined: (shard: string) => void) {
    this.link = link
    this.waitingLink = waitingLink
    this.keys = keys
    this.logger = logger
    this.joined = joined
  }

  /** Begins to hear, from where the last one that heard was. */
  async open(): Promise<void> {
    this.cursor = (await this.link.get(this.keys.heard)) ?? '0'
    for (const [shard, text] of Object.entries(await this.link.hgetall(this.keys.acks))) this.acknowledge(shard, text)
    this.listening = this.listen()
  }

  async close(): Promise<void> {
    this.closed = true
    // What was asked for last is not lost with the connection.
    await this.changed.catch(() => undefined)
    this.waitingLink.disconnect()
    const error = new MigrateError('FM_WORKER_LOST', 'nobody listens to the workers any more', 'Ask again.')
    for (const { promise } of this.questions.values()) promise.reject(error)
    this.questions.clear()
    await this.listening
  }

  /** Listens to a shard from now on; what was told meanwhile comes first. */
  attach(shard: string, ear: ShardEar): void {
    this.ears.set(shard, ear)
    const kept = this.kept.get(shard) ?? []
    this.kept.delete(shard)
    // Whoever attaches hears nothing before it has returned.
    queueMicrotask(() => {
      for (const message of kept) this.dispatch(message, shard)
    })
  }

  detach(shard: string, ear: ShardEar): void {
    if (this.ears.get(shard) === ear) this.ears.delete(shard)
  }

  /**
   * Changes what all workers are to do; gives the version. Each of many shards may ask for the same: what is so already is not changed
   * again, and who is to end soon is never told to take its time.
   * @throws when the queue is away
   */
  change(change: Partial<Omit<Control, 'version'>>): Promise<number> {
    const endsSoon = this.set.ending === 'stop' && change.ending === 'read'
    const wanted: typeof change = endsSoon ? { ...change, ending: 'stop' } : change
    if (Object.entries(wanted).every(([name, value]) => this.set[name] === value)) return this.changed
    Object.assign(this.set, wanted)
    const { control, orders } = this.keys
    this.changed = this.link.eval(CHANGE_CONTROL, 2, control, orders, ...controlFields(wanted)).then(Number)
    this.changed.catch(() => {
      // Nobody knows what stands there now.
      this.set = {}
    })
    return this.changed
  }

  /** While the queue is away nobody writes for long, and whoever waits for what was asked asks once more. */
  order(change: Parameters<RunHub['change']>[0]): void {
    void this.change(change).catch(() => undefined)
  }

  /** Until the worker that has the shard has obeyed a version. @throws MigrateError FM_WORKER_LOST when it is replaced before */
  async obeyed(shard: string, version: number): Promise<void> {
    const epoch = this.epochOf(shard)
    for (;;) {
      const said = this.acks.get(this.whole > 0 ? WHOLE : shard)
      if (said !== undefined && said.version >= version) return
      if (this.closed || this.epochOf(shard) !== epoch)
        throw lost(`the worker of the shard ${shard} was lost while it was asked for something`)
      await sleep(10)
      const text = await this.link.hget(this.keys.acks, this.whole > 0 ? WHOLE : shard)
      if (text !== null) this.acknowledge(this.whole > 0 ? WHOLE : shard, text)
    }
  }

  /** @throws MigrateError what the worker failed with, FM_WORKER_LOST */
  async ask(shard: string, what: Question['what'], keys: Question['keys']): Promise<unknown> {
    const id = this.next++
    const promise = Promise.withResolvers<unknown>()
    this.questions.set(id, { shard, promise })
    promise.promise.catch(() => undefined)
    await this.post({ id, shard, what, keys })
    return promise.promise
  }

  /** How far a shard is behind; one question serves all that ask at a time. */
  async lagOf(shard: string): Promise<Lag | null> {
    if (this.lagAnswers === null) {
      const id = this.next++
      const lags = new Map<string, Lag | null>()
      const settled = Promise.withResolvers<void>()
      this.lagSettled = settled.resolve
      const timer = setTimeout(() => settled.resolve(), LAG_MS)
      const done = settled.promise.finally(() => {
        clearTimeout(timer)
        this.lagAnswers = null
      })
      this.lagAnswers = { id, lags, done }
      void this.post({ id, shard: null, what: 'lags', keys: [] }).catch(() => settled.resolve())
    }
    const { lags, done } = this.lagAnswers
    await done
    return lags.get(shard) ?? null
  }

  private async post(question: Question): Promise<void> {
    await this.link.xadd(this.keys.orders, 'MAXLEN', '~', 1000, '*', 'q', toWire(question))
  }

  private async listen(): Promise<void> {
    while (!this.closed) {
      try {
        const read = await this.waitingLink.xread(
          'COUNT',
          ENTRIES,
          'BLOCK',
          BLOCK_MS,
          'STREAMS',
          this.keys.told,
          this.cursor,
        )
        const entries = read?.[0]?.[1] ?? []
        for (const [id, fields] of entries) {
          for (const message of fromWire<Told[]>(fields[1])) this.hear(message)
          this.cursor = id
        }
        if (entries.length > 0) await this.link.set(this.keys.heard, this.cursor)
      } catch (error) {
        if (this.closed) return
        this.logger.log('debug', `the workers cannot be heard now: ${(error as Error).message}`)
        await sleep(AGAIN_MS)
      }
    }
  }

  private hear(message: Told): void {
    if (message.shard !== WHOLE) return this.hearOf(message, message.shard)
    if (message.epoch < this.whole) return
    if (message.kind === 'taken' || message.kind === 'over') {
      this.whole = message.kind === 'taken' ? message.epoch : this.whole
      for (const shard of this.ears.keys()) this.hearOf(message, shard)
      return
    }
    if (isAnswer(message)) return this.answer(message)
    const named =
      message.kind === 'event' && 'shard' in message.event
        ? message.event.shard
        : message.kind === 'seen'
          ? message.shard
          : null
    const [first] = this.ears.keys()
    const shard = named !== null && this.ears.has(named) ? named : first
    if (shard !== undefined) this.dispatch(message, shard)
  }

  private hearOf(message: Told, shard: string): void {
    const epoch = this.epochOf(shard)
    if (message.epoch < epoch) return
    if (isAnswer(message)) return this.answer(message)
    if (message.shard !== WHOLE && message.epoch > this.whole) this.whole = 0
    const known = this.epochs.get(shard)
    this.epochs.set(shard, message.epoch)
    if (message.kind === 'taken' && known !== undefined && known !== message.epoch) {
      const why = replacedBy(shard, message)
      for (const [id, { shard: asked, promise }] of this.questions)
        if (asked === shard) {
          this.questions.delete(id)
          promise.reject(why)
        }
      const ear = this.ears.get(shard)
      this.ears.delete(shard)
      ear?.replaced(why)
      return
    }
    this.dispatch(message, shard)
  }

  private dispatch(message: Told, shard: string): void {
    const ear = this.ears.get(shard)
    if (ear === undefined) {
      const kept = this.kept.get(shard)
      if (kept === undefined) {
        this.kept.set(shard, [message])
        this.joined(shard)
      } else kept.push(message)
      return
    }
    if (isAnswer(message)) return
    if (message.kind === 'taken') ear.placed(message.by, message.host)
    else if (message.kind === 'over') ear.over(message.fault && errorFromTold(message.fault))
    else ear.told(message)
  }

  private answer(message: Answer): void {
    if (message.kind === 'lags') {
      if (message.id !== this.lagAnswers?.id) return
      const { lags } = this.lagAnswers
      for (const [shard, lag] of message.lags) lags.set(shard, lag)
      if ([...this.ears.keys()].every((shard) => lags.has(shard))) this.lagSettled?.()
      return
    }
    const waiting = this.questions.get(message.id)
    this.questions.delete(message.id)
    if (message.kind === 'answer') waiting?.promise.resolve(message.answer)
    else waiting?.promise.reject(errorFromTold(message.fault))
  }

  private epochOf(shard: string): number {
    return Math.max(this.whole, this.epochs.get(shard) ?? 0)
  }

  private acknowledge(shard: string, text: string): void {
    const [epoch, version] = text.split(' ').map(Number)
    this.acks.set(shard, { epoch, version })
  }
}

function lost(what: string): MigrateError {
  return new MigrateError(
    'FM_WORKER_LOST',
    what,
    'Another worker goes on from its checkpoint; whatever was asked of it meanwhile has to be asked again.',
    { retryable: true },
  )
}

function replacedBy(shard: string, { by, afterMs, gaveBack }: Extract<Told, { kind: 'taken' }>): MigrateError {
  if (gaveBack) return lost(`the worker of the shard ${shard} has given it back: ${by} has it now`)
  const after = afterMs === null ? '' : ` ${(afterMs / 1000).toFixed(1)} s after its last sign of life`
  return lost(`the worker of the shard ${shard} was lost: ${by} has taken it over${after}`)
}
