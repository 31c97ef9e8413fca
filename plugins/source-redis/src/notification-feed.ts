import { type DirtyKey, MigrateError } from '@ferrite-migrate/contracts'
import { type Reply, RespReader, RespWriter } from '@ferrite-migrate/protocol'
import { RedisLink, retrying } from '@ferrite-migrate/redis'
import type { ChangeFeed } from './change-feed.js'
import { NotificationSetting, type NotificationSettingOptions } from './notification-setting.js'

export interface NotificationFeedOptions extends NotificationSettingOptions {
  readonly signal: AbortSignal
  readonly retryMs: number
  /** Called whenever `wait` would end. */
  told?(): void
}

const PREFIX = /^__keyspace@(\d+)__:/
/** Keys remembered between two readings; above, everything counts as changed. */
const MOST_KEYS = 500_000
/** Streams looked at again for their groups. */
const MOST_STREAMS = 100_000
const PING_MS = 5000
const SILENT_MS = 20_000
/** Between two looks whether the setting still is what it has to be. */
const LOOK_MS = 10_000

/**
 * Collects the names of changed keys from keyspace notifications. They are fire-and-forget: after every lost
 * connection `missed` is set, and whoever reads must look at everything again.
 */
export class NotificationFeed implements ChangeFeed {
  events = 0
  private heard = false
  private readonly options: NotificationFeedOptions
  private readonly keys = new Map<string, DirtyKey>()
  /**
   * Streams seen so far. Deliveries to consumer groups send no event, so their pending entries are only found by
   * reading the stream again.
   */
  private readonly streams = new Map<string, DirtyKey>()
  private lost = false
  private readonly setting: NotificationSetting
  private looked = Date.now()
  private link: RedisLink | null = null
  private readonly ending = new AbortController()
  private failure: MigrateError | null = null
  private wake: (() => void) | null = null
  private running: Promise<void> | null = null

  constructor(options: NotificationFeedOptions) {
    this.options = options
    this.setting = new NotificationSetting(options)
    options.signal.addEventListener('abort', () => this.stop(), { once: true })
  }

  private get stopped(): boolean {
    return this.ending.signal.aborted
  }

  get proven(): boolean {
    return this.heard || this.setting.proven
  }

  get pending(): number {
    return this.keys.size
  }

  async start(): Promise<void> {
    await this.subscribe()
    this.running = this.watch()
  }

  takeMissed(): boolean {
    const missed = this.lost
    this.lost = false
    return missed
  }

  takeVanished(): boolean {
    return false
  }

  take(most: number): DirtyKey[] {
    const taken: DirtyKey[] = []
    for (const [name, key] of this.keys) {
      if (taken.length >= most) break
      if (taken.length > 0 && taken[0].db !== key.db) continue
      taken.push(key)
      this.keys.delete(name)
    }
    return taken
  }

  addStream(db: number, key: Buffer): void {
    if (this.streams.size < MOST_STREAMS)
      this.streams.set(`__keyspace@${db}__:${key.toString('latin1')}`, { db, key: Buffer.from(key) })
  }

  takeStreams(most: number): DirtyKey[] {
    const taken: DirtyKey[] = []
    for (const [name, key] of this.streams) {
      if (taken.length >= most || (taken.length > 0 && taken[0].db !== key.db)) break
      taken.push(key)
      this.streams.delete(name)
      this.streams.set(name, key)
      if (taken.length >= this.streams.size) break
    }
    return taken
  }

  get streamCount(): number {
    return this.streams.size
  }

  async wait(ms: number): Promise<void> {
    if (this.failure) throw this.failure
    if (ms === 0 || this.keys.size > 0 || this.lost || this.stopped) return
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, ms)
      this.wake = () => {
        clearTimeout(timer)
        resolve()
      }
    })
    if (this.failure) throw this.failure
  }

  stop(): void {
    this.ending.abort()
    this.link?.close()
    this.notify()
  }

  async close(): Promise<void> {
    this.stop()
    await this.running
    await this.setting.putBack()
  }

  private notify(): void {
    this.options.told?.()
    this.wake?.()
    this.wake = null
  }

  /** Whoever switches it off meanwhile makes the source silent: everything counts as changed then. */
  private async look(): Promise<void> {
    this.looked = Date.now()
    if (this.stopped || !(await this.setting.wasSwitchedOff())) return
    this.lost = true
    this.notify()
  }

  private async subscribe(): Promise<void> {
    const link = await RedisLink.open(this.options.endpoint)
    await this.setting.ensure(link)
    this.link = link
    // It was asked to end while the connection was made.
    if (this.stopped) link.close()
    const subscribed = Promise.withResolvers<void>()
    let lastAt = Date.now()
    const reader = new RespReader((reply) => {
      lastAt = Date.now()
      if (reply instanceof Error)
        subscribed.reject(
          new MigrateError(
            'FM_NOTIFICATIONS_OFF',
            `the source refuses a subscription: ${reply.message}`,
            'Give the user the rights listed in docs/permissions.md.',
          ),
        )
      else if (Array.isArray(reply)) this.receive(reply, subscribed.resolve)
    })
    link.takeOver((chunk) => reader.push(chunk))
    const out = new RespWriter(128)
    out.call('PSUBSCRIBE', '__keyspace@*__:*')
    link.send(out.take())
    const timer = setInterval(() => {
      if (Date.now() - this.looked > LOOK_MS) void this.look().catch(() => undefined)
      const ping = new RespWriter(32)
      ping.call('PING')
      link.send(ping.take())
      // A connection that died without a word would lose events for ever.
      if (Date.now() - lastAt > SILENT_MS)
        link.destroy(
          new MigrateError('FM_CONNECT_LOST', 'the subscription went silent', 'Look into the network.', {
            retryable: true,
          }),
        )
    }, PING_MS)
    void link.closed.then((reason) => {
      clearInterval(timer)
      subscribed.reject(reason ?? new MigrateError('FM_CONNECT_LOST', 'stopped', 'Start again.', { retryable: true }))
    })
    await subscribed.promise
  }

  private receive(reply: Reply[], subscribed: () => void): void {
    const kind = String(reply[0])
    if (kind === 'psubscribe') return subscribed()
    if (kind !== 'pmessage') return
    const channel = reply[2] as Buffer
    const match = PREFIX.exec(channel.toString('latin1', 0, 40))
    if (!match) return
    this.events++
    this.heard = true
    const name = channel.toString('latin1')
    // Events of streams are called x…: xadd, xgroup-create, xdel.
    if ((reply[3] as Buffer)[0] === 120) this.addStream(Number(match[1]), channel.subarray(match[0].length))
    if (!this.keys.has(name)) {
      if (this.keys.size >= MOST_KEYS) {
        this.keys.clear()
        this.lost = true
      }
      this.keys.set(name, { db: Number(match[1]), key: channel.subarray(match[0].length) })
    }
    this.notify()
  }

  private async watch(): Promise<void> {
    for (;;) {
      const reason = await this.link!.closed
      if (this.stopped) return
      this.lost = true
      this.options.logger.log(
        'warn',
        `the subscription was lost: ${reason?.message ?? 'closed'}; everything counts as changed`,
      )
      try {
        await retrying(() => this.subscribe(), { timeoutMs: this.options.retryMs, signal: this.ending.signal })
      } catch (error) {
        if (this.stopped) return
        this.failure = error as MigrateError
        this.notify()
        return
      }
      this.lost = true
      this.notify()
    }
  }
}
