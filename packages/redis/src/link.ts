import { connect as connectTcp, type Socket } from 'node:net'
import { connect as connectTls } from 'node:tls'
import { type Address, MigrateError } from '@ferrite-migrate/contracts'
import { damagedReply, type Reply, ReplyError, RespReader, RespWriter, SilenceWatch } from '@ferrite-migrate/protocol'
import { printAddress } from './address/host-port.js'
import { serverName } from './address/server-name.js'
import { AskingWriter } from './asking-writer.js'
import {
  connectError,
  handshakeError,
  movedError,
  plainError,
  selectError,
  silentError,
  stoppedError,
  withAdvice,
} from './connect-error.js'
import type { Endpoint } from './endpoint.js'
import { answersPlainly } from './plain-probe.js'

/** No database at all: whatever is wanted has to be selected. */
const UNKNOWN_DB = -1

/** What an answer may still take when everything is to stop, ms. */
const STOPPING_MS = 3000

/** A handshake of TLS that takes longer may have met a server without it. */
const PROBE_AFTER_MS = 1000

interface Waiting {
  left: number
  readonly replies: Reply[]
  resolve(replies: Reply[]): void
  reject(error: Error): void
}

/** Sees the bytes on the wire; never called during the handshake, which carries secrets. */
export type WireTrace = (direction: '>' | '<', data: Buffer) => void

/**
 * One pipelined connection. Replies arrive in order of the calls. `takeOver` hands the incoming bytes to somebody
 * else: a replication link, or a writer that only counts replies.
 */
export class RedisLink {
  readonly endpoint: Endpoint
  /** Where it is connected to. */
  readonly address: Address
  readonly socket: Socket
  /** Resolves with the reason when the connection is gone (with null after `close`). */
  readonly closed: Promise<MigrateError | null>
  private readonly reader: RespReader
  private readonly waiting: Waiting[] = []
  private readonly writer = new RespWriter(4096)
  private db = 0
  private failure: MigrateError | null = null
  private closing = false
  private consumer: ((chunk: Buffer) => void) | null = null
  private trace: WireTrace | null = null
  /** Set while another database is being selected: what comes meanwhile waits for it. */
  private selecting: Promise<unknown> | null = null
  private readonly silence: SilenceWatch
  private silenceError: (ms: number) => MigrateError

  private constructor(endpoint: Endpoint, address: Address, socket: Socket) {
    this.endpoint = endpoint
    this.address = address
    this.socket = socket
    this.silenceError = (ms) => silentError(endpoint.label, ms)
    this.silence = new SilenceWatch({
      limitMs: endpoint.silenceMs,
      expecting: () => this.waiting.length > 0,
      // Whoever does not listen hears nothing.
      deaf: () => socket.isPaused(),
      pendingBytes: () => socket.writableLength,
      silent: (ms) => this.destroy(this.silenceError(ms)),
    })
    this.reader = new RespReader((reply) => this.receive(reply))
    this.closed = new Promise((resolve) => {
      socket.on('error', (cause) => {
        this.failure ??= connectError(endpoint, cause)
      })
      socket.on('close', () => {
        this.silence.end()
        this.failure ??= connectError(
          endpoint,
          Object.assign(new Error('closed by the server'), { code: 'ECONNRESET' }),
        )
        for (const call of this.waiting.splice(0)) call.reject(this.failure)
        resolve(this.closing ? null : this.failure)
      })
    })
    socket.on('data', (chunk: Buffer) => this.arrived(chunk, false))
  }

  private arrived(chunk: Buffer, shared: boolean): void {
    this.silence.progress()
    this.trace?.('<', chunk)
    try {
      if (this.consumer !== null) this.consumer(chunk)
      // Replies are views of what they came in.
      else this.reader.push(shared ? Buffer.from(chunk) : chunk)
    } catch (error) {
      this.destroy(
        error instanceof MigrateError
          ? error
          : new MigrateError('FM_INTERNAL', String(error), 'Please report this with -v.', { cause: error }),
      )
    }
  }

  /** Ends the connection as soon as another server is the one to speak to. */
  private follow(address: Address): void {
    const { moving, label } = this.endpoint
    if (moving === undefined) return
    const place = printAddress(address)
    const leave = moving.moved((now) => {
      const other = printAddress(now)
      if (other !== place) this.destroy(movedError(label, `: that is ${other} now`))
    })
    void this.closed.then((reason) => {
      leave()
      if (reason !== null) moving.doubt()
    })
  }

  /**
   * Connects, authenticates and selects the endpoint's database.
   * @param readBuffer bytes of one buffer to read into again and again, so that reading makes no garbage: what a consumer
   * gets is then valid until it returns. Without effect under TLS.
   * @param signal ends the attempt; an open connection is not touched
   * @throws MigrateError FM_CONNECT_*, FM_AUTH_*, FM_SERVER_LOADING, FM_DB_RANGE
   */
  static async open(
    given: Endpoint,
    trace: WireTrace | null = null,
    readBuffer?: number,
    signal?: AbortSignal,
  ): Promise<RedisLink> {
    let link: RedisLink | null = null
    const address = await given.locate()
    const { moving } = given
    const endpoint = moving === undefined ? given : { ...given, label: `${printAddress(address)} (${given.label})` }
    const arrived = (chunk: Buffer): void => link?.arrived(chunk, true)
    const socket = await connectSocket(endpoint, address, readBuffer, arrived, signal).catch((error) => {
      moving?.doubt()
      throw moving === undefined ? error : withAdvice(error, moving.advice(address))
    })
    link = new RedisLink(endpoint, address, socket)
    link.follow(address)
    const end = (): void => link?.destroy(stoppedError(endpoint.label))
    signal?.addEventListener('abort', end, { once: true })
    try {
      await link.handshake()
    } catch (error) {
      link.close()
      throw error
    } finally {
      signal?.removeEventListener('abort', end)
    }
    link.trace = trace
    return link
  }

  private async handshake(): Promise<void> {
    const { username, password, db, clientName } = this.endpoint
    const timer = setTimeout(
      () =>
        this.destroy(
          new MigrateError(
            'FM_CONNECT_TIMEOUT',
            `${this.endpoint.label} accepts connections and does not answer`,
            'Check that a Redis-compatible server listens there (and TLS or not).',
            { retryable: true },
          ),
        ),
      this.endpoint.connectTimeoutMs,
    )
    try {
      if (password !== undefined) {
        const auth = username === undefined ? ['AUTH', password] : ['AUTH', username, password]
        await this.call(...auth).catch((error) => {
          throw error instanceof MigrateError ? error : handshakeError(this.endpoint, error.message)
        })
      }
      await this.pipeline((out) => {
        out.call('PING')
        if (clientName !== undefined) out.call('CLIENT', 'SETNAME', clientName)
        return clientName === undefined ? 1 : 2
      }).then(([pong]) => {
        // A user without the right to PING is fine; a server that is loading or wants a password is not.
        if (pong instanceof ReplyError && !pong.message.startsWith('NOPERM'))
          throw handshakeError(this.endpoint, pong.message)
      })
      if (this.endpoint.moving !== undefined && this.endpoint.anyRole !== true) await this.mustBePrimary()
      await this.select(db)
    } finally {
      clearTimeout(timer)
    }
  }

  /** Who named it as the primary may not have heard yet that it is none. */
  private async mustBePrimary(): Promise<void> {
    const role = await this.call('ROLE').catch((error: unknown) => {
      if (!(error instanceof ReplyError)) throw error
      return null
    })
    if (Array.isArray(role) && String(role[0]) !== 'master') throw movedError(this.endpoint.label, '')
  }

  /** The selected database. */
  get selected(): number {
    return this.db
  }

  /** One command; rejects with the ReplyError when the server answers one. */
  async call(...argv: readonly (Buffer | string | number)[]): Promise<Reply> {
    const [reply] = await this.pipeline((out) => {
      out.call(...argv)
      return 1
    })
    if (reply instanceof ReplyError) throw reply
    return reply
  }

  /**
   * Writes commands and resolves with their replies; error replies are values. Another database than the selected one is
   * selected first, and nothing is sent before the server has confirmed it: commands never run elsewhere.
   * @throws MigrateError FM_DB_RANGE, FM_AUTH_RIGHTS, FM_CONNECT_*
   */
  pipeline(build: (out: RespWriter) => number, db?: number): Promise<Reply[]> {
    if (this.endpoint.asking === true) return this.asking(build, db)
    return this.inOrder(build, db)
  }

  private async asking(build: (out: RespWriter) => number, db: number | undefined): Promise<Reply[]> {
    const replies = await this.inOrder((out) => {
      const writer = new AskingWriter(1024)
      const commands = build(writer)
      out.raw(writer.take())
      return commands * 2
    }, db)
    // Every second one answers an ASKING.
    return replies.filter((_, i) => i % 2 === 1)
  }

  private inOrder(build: (out: RespWriter) => number, db: number | undefined): Promise<Reply[]> {
    if (this.selecting !== null || (db !== undefined && db !== this.db)) return this.inTurn(build, db)
    return this.write(build)
  }

  /**
   * Selects a database and waits until the server has confirmed it.
   * @throws MigrateError FM_DB_RANGE, FM_AUTH_RIGHTS
   */
  async select(db: number): Promise<void> {
    await this.inTurn(() => 0, db)
  }

  private inTurn(build: (out: RespWriter) => number, db: number | undefined): Promise<Reply[]> {
    const former = this.selecting ?? Promise.resolve()
    const selected = former.then(async () => {
      if (db === undefined || db === this.db) return
      // Unknown until it is confirmed: a lost answer must not be taken for a database.
      this.db = UNKNOWN_DB
      const [reply] = await this.write((out) => {
        out.call('SELECT', db)
        return 1
      })
      if (reply instanceof ReplyError) throw selectError(this.endpoint, db, reply.message)
      this.db = db
    })
    // What is built is written in the same moment in which the database is known, before anybody else's turn.
    const written = selected.then(() => ({ replies: this.write(build) }))
    const turn: Promise<unknown> = written
      .catch(() => undefined)
      .finally(() => {
        if (this.selecting === turn) this.selecting = null
      })
    this.selecting = turn
    return written.then(({ replies }) => replies)
  }

  private write(build: (out: RespWriter) => number): Promise<Reply[]> {
    if (this.failure !== null) return Promise.reject(this.failure)
    const left = build(this.writer)
    const data = this.writer.take()
    if (left === 0) return Promise.resolve([])
    return new Promise<Reply[]>((resolve, reject) => {
      this.waiting.push({ left, replies: [], resolve, reject })
      this.send(data)
    })
  }

  /** Writes bytes as they are. False when the socket's buffer is full. */
  send(data: Buffer, done?: () => void): boolean {
    this.trace?.('>', data)
    return this.socket.write(data, done)
  }

  /**
   * From now on `consumer` gets the incoming bytes; no call may be under way.
   * @param expecting tells whether the server owes something: silence meanwhile ends the connection
   */
  takeOver(consumer: (chunk: Buffer) => void, expecting: () => boolean = () => false): void {
    this.consumer = consumer
    this.silence.expecting = expecting
  }

  /** How long the server may be silent while it owes something, ms; a change counts from now. */
  set patienceMs(ms: number) {
    this.silence.limitMs = ms
  }

  /** Whoever wants to stop does not wait long for a server that says nothing: from the signal on an answer has seconds. */
  hurryAfter(signal: AbortSignal | undefined): void {
    if (signal === undefined) return
    const hurry = (): void => {
      this.patienceMs = Math.min(this.endpoint.silenceMs, STOPPING_MS)
    }
    if (signal.aborted) hurry()
    else signal.addEventListener('abort', hurry, { once: true })
    void this.closed.then(() => signal.removeEventListener('abort', hurry))
  }

  /** From now on the server owes a sign of life always, as a primary does to its replicas. */
  expectSigns(
    withinMs: number,
    error: (ms: number) => MigrateError = (ms) => silentError(this.endpoint.label, ms),
  ): void {
    this.silence.expecting = () => true
    this.silence.limitMs = withinMs
    this.silenceError = error
  }

  /** Leaves what arrives in the kernel for a while. */
  rest(ms: number): void {
    this.socket.pause()
    setTimeout(() => this.socket.resume(), ms)
  }

  /** Notes what a raw `send` selected. */
  assumeSelected(db: number): void {
    this.db = db
  }

  close(): void {
    this.closing = true
    this.socket.destroy()
  }

  destroy(error: MigrateError): void {
    this.failure ??= error
    this.socket.destroy()
  }

  private receive(reply: Reply): void {
    const call = this.waiting[0]
    if (call === undefined) {
      this.destroy(damagedReply('an answer that nobody asked for'))
      return
    }
    call.replies.push(reply)
    if (--call.left > 0) return
    this.waiting.shift()
    call.resolve(call.replies)
  }
}

function connectSocket(
  endpoint: Endpoint,
  { host, port }: Address,
  readBuffer: number | undefined,
  arrived: (chunk: Buffer) => void,
  signal: AbortSignal | undefined,
): Promise<Socket> {
  return new Promise((resolve, reject) => {
    if (signal?.aborted) {
      reject(stoppedError(endpoint.label))
      return
    }
    const where = endpoint.path === undefined ? { host, port } : { path: endpoint.path }
    const onread =
      readBuffer === undefined
        ? {}
        : {
            onread: {
              buffer: Buffer.allocUnsafeSlow(readBuffer),
              callback: (length: number, buffer: Uint8Array): boolean => {
                arrived((buffer as Buffer).subarray(0, length))
                return true
              },
            },
          }
    const socket =
      endpoint.tls === undefined
        ? connectTcp({ ...where, ...onread })
        : connectTls({ ...where, servername: serverName(host), ...endpoint.tls })
    const ready = endpoint.tls === undefined ? 'connect' : 'secureConnect'
    const timer = setTimeout(
      () => socket.destroy(Object.assign(new Error('no answer'), { code: 'ETIMEDOUT' })),
      endpoint.connectTimeoutMs,
    )
    // A server without TLS says nothing to a handshake: whether it is one, a plain PING tells.
    const probe = setTimeout(() => {
      if (!endpoint.tls || endpoint.path !== undefined) return
      void answersPlainly(host, port).then((plain) => {
        if (plain && socket.connecting === false && !ended) socket.destroy(plainError(endpoint.label))
      })
    }, PROBE_AFTER_MS)
    let ended = false
    const stop = (): void => {
      socket.destroy(stoppedError(endpoint.label))
    }
    signal?.addEventListener('abort', stop, { once: true })
    const fail = (cause: unknown): void => {
      ended = true
      clearTimeout(timer)
      clearTimeout(probe)
      signal?.removeEventListener('abort', stop)
      reject(connectError(endpoint, cause))
    }
    const closed = (): void => fail(Object.assign(new Error('closed'), { code: 'ECONNRESET' }))
    socket.once('error', fail)
    socket.once('close', closed)
    socket.once(ready, () => {
      ended = true
      clearTimeout(timer)
      clearTimeout(probe)
      signal?.removeEventListener('abort', stop)
      socket.off('error', fail)
      socket.off('close', closed)
      socket.setNoDelay(true)
      socket.setKeepAlive(true, 30_000)
      resolve(socket)
    })
  })
}
