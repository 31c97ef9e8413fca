import type { FromWorker } from '@ferrite-migrate/core'
import type { Redis } from 'ioredis'
import type { RunKeys } from '../connection/run-keys.js'
import { keepCounts } from '../protocol/kept-counts.js'
import type { Told, ToldBeside } from '../protocol/told.js'
import { toWire } from '../protocol/wire.js'

/** How soon something is told, ms. */
const TELL_MS = 40
/** How often positions and counts are kept, ms. */
const KEEP_MS = 1000
/** Entries that are kept of what workers tell: whoever follows the migration reads them within milliseconds. */
const ENTRIES_KEPT = 20_000
/** Changed keys that wait at most: of more nobody knows which. */
const CHANGED_AT_MOST = 100_000

/** From a worker of this process. */
type Message = FromWorker | ToldBeside

/**
 * Gathers what a worker tells, and sends it in few steps: of positions and counts only the last ones matter. They, and the phase, are
 * also kept by themselves, for whoever follows the migration later.
 */
export class Outbox {
  private readonly link: Redis
  private readonly keys: RunKeys
  private readonly shard: string
  private readonly epoch: number
  private waiting: Message[] = []
  private readonly positions = new Map<string, string>()
  private readonly unkept = new Map<string, string>()
  private readonly states = new Map<string, Map<string, FromWorker>>()
  private counted: FromWorker | null = null
  private changed = 0
  private readonly timers: NodeJS.Timeout[] = []
  private sending: Promise<void> = Promise.resolve()
  private statesChanged = false

  constructor(link: Redis, keys: RunKeys, shard: string, epoch: number) {
    this.link = link
    this.keys = keys
    this.shard = shard
    this.epoch = epoch
    this.timers.push(
      setInterval(() => this.flush(), TELL_MS),
      setInterval(() => this.keep(), KEEP_MS),
    )
  }

  tell(message: Message): void {
    if (message.kind === 'event') {
      const { event } = message
      if (event.kind === 'position') {
        this.positions.set(event.shard, event.position)
        this.unkept.set(event.shard, event.position)
        return
      }
      if (event.kind === 'counted') {
        this.counted = message
        return
      }
      if (event.kind === 'phase' || event.kind === 'held' || event.kind === 'synced') {
        const states = this.states.get(event.shard) ?? new Map<string, FromWorker>()
        // A new sync begins with the first phase again.
        states.set(event.kind, message)
        this.states.set(event.shard, states)
        this.statesChanged = true
      }
    } else if (message.kind === 'changed') {
      this.changed += message.keys.length
      if (this.changed > CHANGED_AT_MOST) {
        this.waiting.push({ ...message, keys: [], overflow: true })
        return
      }
    }
    this.waiting.push(message)
  }

  /** Sends everything, and resolves when the queue has it. @throws when the queue is away */
  async settle(): Promise<void> {
    this.flush()
    this.keep()
    await this.sending
  }

  close(): void {
    for (const timer of this.timers) clearInterval(timer)
  }

  private flush(): void {
    const messages = this.waiting
    this.waiting = []
    this.changed = 0
    for (const [shard, position] of this.positions)
      messages.push({ kind: 'event', event: { kind: 'position', shard, position } })
    this.positions.clear()
    if (messages.length === 0) return
    const text = toWire(messages.map((message): Told => ({ shard: this.shard, epoch: this.epoch, ...message })))
    this.send(() => this.link.xadd(this.keys.told, 'MAXLEN', '~', ENTRIES_KEPT, '*', 'm', text))
  }

  private keep(): void {
    const { keys } = this
    if (this.counted !== null) {
      const { counted } = this
      this.counted = null
      this.waiting.push(counted)
      if (counted.kind === 'event' && counted.event.kind === 'counted') {
        const { counts } = counted.event
        this.send(() => keepCounts(this.link, keys, this.shard, this.epoch, counts))
      }
    }
    if (this.unkept.size > 0) {
      const fields = [...this.unkept].flat()
      this.unkept.clear()
      this.send(() => this.link.hset(keys.positions, ...fields))
    }
    if (this.statesChanged) {
      this.statesChanged = false
      const fields = [...this.states].flatMap(([shard, states]) => [shard, JSON.stringify([...states.values()])])
      this.send(() => this.link.hset(keys.state, ...fields))
    }
  }

  private send(work: () => Promise<unknown>): void {
    const sent = work().then(() => undefined)
    // A worker whose queue is away ends by its own clock soon, and what it told was of no use then.
    this.sending = Promise.all([this.sending.catch(() => undefined), sent]).then(() => undefined)
    this.sending.catch(() => undefined)
  }
}
