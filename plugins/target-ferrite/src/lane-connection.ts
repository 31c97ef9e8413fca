import { type Logger, MigrateError } from '@ferrite-migrate/contracts'
import { damagedReply, ReplyCounter, RespWriter } from '@ferrite-migrate/protocol'
import {
  clientNameOf,
  type Endpoint,
  mostWaitMs,
  RedisLink,
  readInfo,
  retrying,
  selectError,
  type WireTrace,
} from '@ferrite-migrate/redis'
import { withAsking } from './asking.js'

export interface ConnectionOptions {
  readonly endpoint: Endpoint
  readonly migration: string | undefined
  readonly logger: Logger
  readonly signal: AbortSignal
  readonly retryMs: number
  /** Who the server was when the run started; another one has not what was written before. */
  runId(): string
  readonly trace: WireTrace | null
  /** Asked on each new connection before anything is written. @throws MigrateError FM_RUN_TAKEN */
  admit(link: RedisLink): Promise<void>
  /** Resolves when the target is known to have this database. @throws MigrateError FM_DB_RANGE, FM_AUTH_RIGHTS */
  prove(db: number): Promise<void>
  /** True when `prove` has nothing left to do. */
  isProven(db: number): boolean
  /** Each command is for a slot on its way to this node of a cluster, which takes it only when told so. */
  readonly asking?: boolean
  /** Called when the server is out of reach, before it is tried again. @throws MigrateError FM_TARGET_LOST when that is no use */
  unreachable?(): Promise<void>
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
  /** How many elements each array has that was answered, by the index of the reply: what EXEC did. */
  sizes: Map<number, number> | null
  /** What was sent, where nobody else gives its memory back. */
  readonly data: Buffer | null
  resolve(): void
  reject(error: Error): void
}

/** Replies that are read at once. */
const REPLY_BYTES = 64 << 10
const SMALL_BYTES = 32 << 10
const STOPPING_SILENCE_MS = 5000
/** No database at all: whatever is wanted has to be selected. */
const UNKNOWN_DB = -1

/** The identity of a server process, for noticing a restart; of one that may be replaced also which history it has. */
export async function serverIdentity(link: RedisLink): Promise<string> {
  const info = await readInfo(link, 'server').catch(() => new Map<string, string>())
  const process = `${info.get('run_id') ?? ''}|${info.get('process_id') ?? ''}`
  if (link.endpoint.moving === undefined) return process
  // A primary that was replaced and is one again has lost what only it had.
  const replication = await readInfo(link, 'replication').catch(() => new Map<string, string>())
  return `${process}|${replication.get('master_replid') ?? ''}`
}

/** Nobody knows here what was done: also of a shard that had lost nothing itself when another one had the target looked at anew. */
function leftError(label: string): MigrateError {
  return new MigrateError(
    'FM_TARGET_LOST',
    `the connections to ${label} were left`,
    'The migration goes on from the checkpoint at the target, or copies again.',
    { retryable: true },
  )
}

/** One pipelined connection to the target: what was rendered into `out` is sent, and its replies are matched by their number. */
export class LaneConnection {
  readonly out = new RespWriter(256 << 10)
  private readonly options: ConnectionOptions
  private link: RedisLink | null = null
  private opening: Promise<RedisLink> | null = null
  private readonly flights: Flight[] = []
  /** Databases are selected one after the other. */
  private selecting: Promise<void> = Promise.resolve()
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
    if (this.closed) throw leftError(this.options.endpoint.label)
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
      mostWaitMs: mostWaitMs(endpoint),
      signal: new AbortController().signal,
      onRetry: async (error) => {
        if (this.closed) throw leftError(endpoint.label)
        if (signal.aborted) throw error
        await this.options.unreachable?.()
        logger.log('warn', `${error.message}; trying again`)
      },
    })
    if ((await serverIdentity(link)) !== this.options.runId()) {
      link.close()
      throw new MigrateError(
        'FM_TARGET_LOST',
        endpoint.moving === undefined
          ? `${endpoint.label} was restarted and may have lost what was written`
          : `${endpoint.label} has failed over and may have lost what was written`,
        'The migration goes on from the checkpoint at the target, or copies again.',
        { retryable: true },
      )
    }
    try {
      await this.options.admit(link)
    } catch (error) {
      link.close()
      throw error
    }
    // Left while it was being opened: nothing of before may be written any more.
    if (this.closed) {
      link.close()
      throw leftError(endpoint.label)
    }
    const counter = new ReplyCounter(
      (_index, inner, text) => this.flights[0]?.errors.push({ index: this.flights[0].index, inner, text }),
      () => this.flights[0]?.nils.push(this.flights[0].index),
      () => this.answered(),
      (_index, size) => this.announced(size),
    )
    link.takeOver(
      (chunk) => counter.push(chunk),
      () => this.flights.length > 0,
    )
    // Whoever wants to stop does not wait as long for a server that says nothing.
    const hurry = (): void => {
      link.patienceMs = Math.min(endpoint.silenceMs, STOPPING_SILENCE_MS)
    }
    if (signal.aborted) hurry()
    else signal.addEventListener('abort', hurry, { once: true })
    void link.closed.then((reason) => {
      signal.removeEventListener('abort', hurry)
      if (this.link === link) this.link = null
      const error = this.tooLarge() ?? reason ?? leftError(endpoint.label)
      for (const flight of this.flights.splice(0)) flight.reject(error)
    })
    this.link = link
    return link
  }

  /** A server that was sent more than it takes says so, and closes the connection. */
  private tooLarge(): MigrateError | null {
    const said = this.flights[0]?.errors.at(-1)
    if (said === undefined || said.inner >= 0 || !/^ERR Protocol error/i.test(said.text)) return null
    return new MigrateError(
      'FM_TARGET_LIMIT',
      `${this.options.endpoint.label} does not take a request of this size: ${said.text.slice(0, 120)}`,
      'Raise proto-max-bulk-len and client-query-buffer-limit at the target.',
      { retryable: true },
    )
  }

  /**
   * Calls with the link when this database is selected and the server has confirmed it. `use` writes at once, before
   * anybody can select another; what it gives is wrapped, so that a promise in it is not waited for.
   * @throws MigrateError FM_DB_RANGE, FM_AUTH_RIGHTS, FM_CONNECT_*, FM_TARGET_LOST
   */
  async inDatabase<T>(db: number, use: (link: RedisLink) => T): Promise<{ readonly made: T }> {
    const link = await this.connect()
    if (link.selected === db) return { made: use(link) }
    await this.options.prove(db)
    const turn = this.selecting.then(async () => {
      const current = await this.connect()
      if (current.selected !== db) await this.select(current, db)
      return { made: use(current) }
    })
    this.selecting = turn.then(
      () => undefined,
      () => undefined,
    )
    return turn
  }

  private async select(link: RedisLink, db: number): Promise<void> {
    // Unknown until it is confirmed, so that nobody writes meanwhile.
    link.assumeSelected(UNKNOWN_DB)
    const out = new RespWriter(64)
    out.call('SELECT', db)
    const flight = await this.send(link, out.take(), 1)
    if (flight.errors.length > 0) throw selectError(this.options.endpoint, db, flight.errors[0].text)
    link.assumeSelected(db)
  }

  private announced(size: number): void {
    const flight = this.flights[0]
    if (flight === undefined) return
    flight.sizes ??= new Map()
    flight.sizes.set(flight.index, size)
  }

  private answered(): void {
    const flight = this.flights[0]
    if (flight === undefined) throw damagedReply('an answer that nobody asked for')
    flight.index++
    if (--flight.left > 0) return
    this.flights.shift()
    if (flight.data !== null) this.out.recycle(flight.data)
    flight.resolve()
  }

  /** Sends what was rendered and resolves when every reply is there; `sent` is called as soon as it is on its way. */
  fly(link: RedisLink, replies: number, sent: () => void = () => undefined): Promise<Flight> {
    const data = this.out.take()
    const flight = this.options.asking === true ? this.ask(link, data) : this.send(link, data, replies)
    sent()
    return flight
  }

  /** Sends commands with ASKING before each, and gives the answers of the commands alone. */
  private async ask(link: RedisLink, data: Buffer): Promise<Flight> {
    const asked = withAsking(data)
    const flight = await this.send(link, asked.data, asked.places.length)
    const { places } = asked
    const sizes = [...(flight.sizes ?? [])].map(([index, size]): [number, number] => [places[index], size])
    return {
      ...flight,
      errors: flight.errors.flatMap((error) =>
        places[error.index] < 0 ? [] : [{ ...error, index: places[error.index] }],
      ),
      nils: flight.nils.map((index) => places[index]),
      sizes: flight.sizes === null ? null : new Map(sizes),
    }
  }

  private send(link: RedisLink, data: Buffer, replies: number): Promise<Flight> {
    // What is small may keep its memory until it is answered: to be told that it was sent would cost more.
    const small = data.length < SMALL_BYTES
    return new Promise((resolve, reject) => {
      const flight: Flight = {
        left: replies,
        index: 0,
        errors: [],
        nils: [],
        sizes: null,
        data: small ? data : null,
        resolve: () => resolve(flight),
        reject,
      }
      this.flights.push(flight)
      if (small) link.send(data)
      else link.send(data, () => this.out.recycle(data))
    })
  }
}
