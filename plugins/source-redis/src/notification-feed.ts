import { setTimeout as sleep } from 'node:timers/promises'
import { type ChangeLedger, type DirtyKey, type Loan, type Logger, MigrateError } from '@ferrite-migrate/contracts'
import { type Reply, ReplyError, RespReader, RespWriter } from '@ferrite-migrate/protocol'
import { type Endpoint, RedisLink } from '@ferrite-migrate/redis'

export interface NotificationFeedOptions {
  readonly endpoint: Endpoint
  readonly logger: Logger
  readonly signal: AbortSignal
  readonly retryMs: number
  /** Switch notify-keyspace-events on where it is off, and back at the end. */
  readonly configure: boolean
  /** Where the change is written down before it is made. */
  readonly ledger: ChangeLedger | undefined
  /** Who the server is, whatever its address. */
  readonly server: string
}

/** What must be on: keyspace channel, all event classes. */
const WANTED = 'KA'
const PREFIX = /^__keyspace@(\d+)__:/
/** Keys remembered between two readings; above, everything counts as changed. */
const MOST_KEYS = 500_000
/** Streams looked at again for their groups. */
const MOST_STREAMS = 100_000
const PING_MS = 5000
const SILENT_MS = 20_000
const SETTING = 'notify-keyspace-events'
const LOAN = `config ${SETTING}`
/** Between two looks whether the setting still is what it has to be. */
const LOOK_MS = 10_000

/**
 * Collects the names of changed keys from keyspace notifications. They are fire-and-forget: after every lost
 * connection `missed` is set, and whoever reads must look at everything again.
 */
export class NotificationFeed {
  /** Events seen so far. */
  events = 0
  /** True once it is known that the source sends events: its setting says so, or one has come. */
  proven = false
  private readonly options: NotificationFeedOptions
  private readonly keys = new Map<string, DirtyKey>()
  /**
   * Streams seen so far. Deliveries to consumer groups send no event, so their pending entries are only found by
   * reading the stream again.
   */
  private readonly streams = new Map<string, DirtyKey>()
  private lost = false
  private former: string | null = null
  private loan: Loan | null = null
  private looked = Date.now()
  private link: RedisLink | null = null
  private stopped = false
  private failure: MigrateError | null = null
  private wake: (() => void) | null = null
  private running: Promise<void> | null = null

  constructor(options: NotificationFeedOptions) {
    this.options = options
    options.signal.addEventListener('abort', () => this.stop(), { once: true })
  }

  get pending(): number {
    return this.keys.size
  }

  /** Resolves when the subscription stands. @throws MigrateError */
  async start(): Promise<void> {
    await this.subscribe()
    this.running = this.watch()
  }

  /** True once after events may have been missed. */
  takeMissed(): boolean {
    const missed = this.lost
    this.lost = false
    return missed
  }

  /** Up to `most` changed keys of one database. */
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

  /** Notes a stream, so that its groups are looked at again. */
  addStream(db: number, key: Buffer): void {
    if (this.streams.size < MOST_STREAMS)
      this.streams.set(`__keyspace@${db}__:${key.toString('latin1')}`, { db, key: Buffer.from(key) })
  }

  /** Up to `most` streams of one database, each in its turn. */
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

  /** How many streams are known. */
  get streamCount(): number {
    return this.streams.size
  }

  /** Waits for an event or the time. @throws what ended the feed */
  async wait(ms: number): Promise<void> {
    if (this.failure) throw this.failure
    if (this.keys.size > 0 || this.lost || this.stopped) return
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
    this.stopped = true
    this.link?.close()
    this.notify()
  }

  /** Ends the feed and puts the server's setting back. */
  async close(): Promise<void> {
    this.stop()
    await this.running
    if (this.former === null) return
    try {
      // Another migration needs it still, and puts back what was there before both.
      if ((this.options.ledger?.others(LOAN, this.options.server) ?? []).length === 0) {
        const link = await RedisLink.open(this.options.endpoint)
        await link.call('CONFIG', 'SET', SETTING, this.former)
        link.close()
      }
      this.loan?.settled()
    } catch (error) {
      this.options.logger.log(
        'warn',
        `notify-keyspace-events could not be set back to "${this.former}": ${(error as Error).message}`,
      )
    }
  }

  private notify(): void {
    this.wake?.()
    this.wake = null
  }

  private async configure(link: RedisLink): Promise<void> {
    const denied = (why: string): MigrateError =>
      new MigrateError(
        'FM_NOTIFICATIONS_OFF',
        `keyspace notifications are off at the source and cannot be switched on: ${why}`,
        `Set notify-keyspace-events to ${WANTED} there (managed services: in the parameter group), then start again.`,
      )
    let current: string
    try {
      const reply = (await link.call('CONFIG', 'GET', 'notify-keyspace-events')) as Buffer[]
      if (reply.length < 2) throw denied('CONFIG GET answers nothing')
      current = String(reply[1])
    } catch (error) {
      if (error instanceof MigrateError) throw error
      this.options.logger.log(
        'warn',
        `notify-keyspace-events cannot be read (${(error as Error).message}), so nobody knows whether changes are told: until the first event everything is compared again at every sweep-interval`,
      )
      return
    }
    const has = (flag: string): boolean => current.includes(flag)
    const [before] = this.options.ledger?.others(LOAN, this.options.server) ?? []
    if (has('K') && (has('A') || [...'g$lshzxet'].every(has))) {
      this.proven = true
      // Somebody else switched it on for the moment: whoever ends last puts back what was there before.
      if (before !== undefined) this.borrow(before.former)
      return
    }
    if (!this.options.configure) throw denied('configure-notifications is off')
    this.borrow(before?.former ?? current)
    try {
      await link.call('CONFIG', 'SET', SETTING, WANTED)
      this.proven = true
    } catch (error) {
      if (error instanceof ReplyError) {
        this.loan?.settled()
        this.loan = null
        this.former = null
      }
      throw denied((error as Error).message)
    }
  }

  /** Written down before it is changed. @throws MigrateError FM_STATE_DIR */
  private borrow(former: string): void {
    if (this.former !== null) return
    this.former = former
    this.loan = this.options.ledger?.lend(LOAN, former, this.options.server) ?? null
  }

  /** Whoever switches it off meanwhile makes the source silent: it is switched on again, and everything counts as changed. */
  private async look(): Promise<void> {
    this.looked = Date.now()
    if (!this.proven || this.stopped) return
    const link = await RedisLink.open(this.options.endpoint)
    try {
      const reply = (await link.call('CONFIG', 'GET', SETTING)) as Buffer[]
      const current = String(reply[1] ?? '')
      if (
        reply.length < 2 ||
        (current.includes('K') && (current.includes('A') || [...'g$lshzxet'].every((flag) => current.includes(flag))))
      )
        return
      this.options.logger.log(
        'warn',
        `${SETTING} was switched off at the source: it is switched on again, and everything compared`,
      )
      await this.configure(link)
      this.lost = true
      this.notify()
    } finally {
      link.close()
    }
  }

  private async subscribe(): Promise<void> {
    const link = await RedisLink.open(this.options.endpoint)
    await this.configure(link)
    this.link = link
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
    this.proven = true
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
      const deadline = Date.now() + this.options.retryMs
      for (let wait = 100; ; wait = Math.min(wait * 2, 3000)) {
        if (this.stopped) return
        try {
          await this.subscribe()
          this.lost = true
          this.notify()
          break
        } catch (error) {
          if (!(error instanceof MigrateError) || !error.retryable || Date.now() > deadline) {
            this.failure = error as MigrateError
            this.notify()
            return
          }
          await sleep(wait, undefined, { signal: this.options.signal }).catch(() => undefined)
        }
      }
    }
  }
}
