import { type Logger, MigrateError } from '@ferrite-migrate/contracts'
import { ReplyCounter, RespWriter } from '@ferrite-migrate/protocol'
import { clientNameOf, type Endpoint, RedisLink, readInfo, retrying, type WireTrace } from '@ferrite-migrate/redis'

export interface ConnectionOptions {
  readonly endpoint: Endpoint
  readonly migration: string | undefined
  readonly logger: Logger
  readonly signal: AbortSignal
  readonly retryMs: number
  /** Who the server was when the run started; another one has not what was written before. */
  runId(): string
  readonly trace: WireTrace | null
}

/** An error that a command was answered with; `inner` is its place inside EXEC, -1 outside. */
export interface ReplyErrorAt {
  readonly index: number
  readonly inner: number
  readonly text: string
}

/** Commands under way: their replies are counted, only errors and nils are kept. */
export interface Flight {
  left: number
  index: number
  readonly errors: ReplyErrorAt[]
  readonly nils: number[]
  /** What was sent, where nobody else gives its memory back. */
  readonly data: Buffer | null
  resolve(): void
  reject(error: Error): void
}

/** Replies that are read at once. */
const REPLY_BYTES = 64 << 10
const SMALL_BYTES = 32 << 10

/** The identity of a server process, for noticing a restart. */
export async function serverIdentity(link: RedisLink): Promise<string> {
  const info = await readInfo(link, 'server').catch(() => new Map<string, string>())
  return `${info.get('run_id') ?? ''}|${info.get('process_id') ?? ''}`
}

/** One pipelined connection to the target: what was rendered into `out` is sent, and its replies are matched by their number. */
export class LaneConnection {
  readonly out = new RespWriter(256 << 10)
  private readonly options: ConnectionOptions
  private link: RedisLink | null = null
  private opening: Promise<RedisLink> | null = null
  private readonly flights: Flight[] = []
  closed = false

  constructor(options: ConnectionOptions) {
    this.options = options
  }

  close(): void {
    this.closed = true
    this.link?.close()
  }

  /**
   * The link; opened where there is none yet, or it was lost.
   * @throws MigrateError FM_TARGET_LOST when another server answers
   */
  async connect(): Promise<RedisLink> {
    if (this.link !== null) return this.link
    this.opening ??= this.open().finally(() => {
      this.opening = null
    })
    return this.opening
  }

  private async open(): Promise<RedisLink> {
    const { endpoint, trace, retryMs, signal, logger, migration } = this.options
    const clientName = migration === undefined ? {} : { clientName: clientNameOf(migration) }
    const link = await retrying(() => RedisLink.open({ ...endpoint, db: 0, ...clientName }, trace, REPLY_BYTES), {
      timeoutMs: retryMs,
      signal: new AbortController().signal,
      onRetry: (error) => {
        if (signal.aborted || this.closed) throw error
        logger.log('warn', `${error.message}; trying again`)
      },
    })
    if ((await serverIdentity(link)) !== this.options.runId()) {
      link.close()
      throw new MigrateError(
        'FM_TARGET_LOST',
        `${endpoint.label} was restarted and may have lost what was written`,
        'The migration goes on from the checkpoint at the target, or copies again.',
        { retryable: true },
      )
    }
    const counter = new ReplyCounter(
      (_index, inner, text) => this.flights[0]?.errors.push({ index: this.flights[0].index, inner, text }),
      () => this.flights[0]?.nils.push(this.flights[0].index),
      () => this.answered(),
    )
    link.takeOver((chunk) => {
      try {
        counter.push(chunk)
      } catch (error) {
        link.destroy(error as MigrateError)
      }
    })
    void link.closed.then((reason) => {
      if (this.link === link) this.link = null
      const error =
        reason ?? new MigrateError('FM_CONNECT_LOST', 'the connection was closed', 'Start again.', { retryable: true })
      for (const flight of this.flights.splice(0)) flight.reject(error)
    })
    this.link = link
    return link
  }

  private answered(): void {
    const flight = this.flights[0]
    if (flight === undefined) return
    flight.index++
    if (--flight.left > 0) return
    this.flights.shift()
    if (flight.data !== null) this.out.recycle(flight.data)
    flight.resolve()
  }

  /** Sends what was rendered and resolves when every reply is there; `sent` is called as soon as it is on its way. */
  fly(link: RedisLink, replies: number, sent: () => void = () => undefined): Promise<Flight> {
    const data = this.out.take()
    // What is small may keep its memory until it is answered: to be told that it was sent would cost more.
    const small = data.length < SMALL_BYTES
    return new Promise((resolve, reject) => {
      const flight: Flight = {
        left: replies,
        index: 0,
        errors: [],
        nils: [],
        data: small ? data : null,
        resolve: () => resolve(flight),
        reject,
      }
      this.flights.push(flight)
      if (small) link.send(data)
      else link.send(data, () => this.out.recycle(data))
      sent()
    })
  }
}
