import { setTimeout as sleep } from 'node:timers/promises'
import { type Logger, MigrateError } from '@ferrite-migrate/contracts'
import { damagedReply, RespWriter } from '@ferrite-migrate/protocol'
import { type Endpoint, handshakeError, mostWaitMs, RedisLink, readInfo, type WireTrace } from '@ferrite-migrate/redis'
import type { SnapshotSettings } from './snapshot-settings.js'
import { Spool, type SpoolOptions } from './spool.js'

export interface ReceiverOptions {
  readonly endpoint: Endpoint
  readonly spool: SpoolOptions
  readonly logger: Logger
  readonly signal: AbortSignal
  /** How long a lost source is tried again. */
  readonly retryMs: number
  readonly trace: WireTrace | null
  /** Changes settings for the start of a snapshot; null = they stay as the source has them. */
  readonly settings: SnapshotSettings | null
  /** Up to where all is durable; asked before each acknowledgement. */
  durable(): { readonly replid: string; readonly offset: number } | null
  /** How often the source sends a sign of life when nothing is written to it (repl-ping-replica-period), ms. */
  readonly pingMs: number
  /** How long to rest now before more of a snapshot is read, ms. */
  pace(): number
  /** The source was read before: one that is away for the moment is waited for, also by the first connection. */
  readonly again: boolean
  /** The last offset at which values were read beside the stream; 0 = none were. */
  readUpTo(): number
  /**
   * A node of a cluster: Valkey waits with each step of a slot's move for all of its replicas, and gives it up where one of them takes
   * two seconds. What was received is acknowledged then as soon as it asks, durable or not.
   */
  readonly cluster: boolean
}

/** What a server calls the history of its data: an offset of another one says nothing. */
export interface History {
  replid: string
}

/** One full resync and all that follows it: an RDB (with this mark at its end, if any), then the command stream. */
export interface Epoch {
  readonly kind: 'full' | 'partial'
  /** What the offsets are of; a server that goes on with them may give it another name. */
  readonly history: History
  readonly spool: Spool
  /** Offset that the first byte of the command stream follows. */
  readonly offset: number
  /** Bytes of the RDB, where announced. */
  readonly rdbBytes?: number
  /** The mark behind a diskless RDB; null = none. */
  readonly mark: Buffer | null
}

const ACK_MS = 1000
const HURRY_MS = 25
const HURRY_TIMES = 40
/** Waits between full resyncs of which none came to its end: each is a fork at the source. */
const RESYNC_WAIT_MS = 1000
const RESYNC_MOST_MS = 60_000
/** Pings that a primary may leave out before it counts as gone. */
const MISSED_PINGS = 3
/** Bytes of a line before it counts as damage. */
const MOST_LINE = 64 << 10
/** A primary that prepares an RDB sends a newline every second; silence for longer means that nothing will come. */
const SILENCE_MS = 15_000
/** A server that accepts PSYNC and sends not even a newline for so long never will. */
const MUTE_MS = 6000
const PAUSE_MS = 10
const READ_BYTES = 256 << 10
const MARK_BYTES = 40
const GETACK = Buffer.from('GETACK')
/** It is asked for behind the command that waits, so near the end of what comes. */
const GETACK_WITHIN = 16 << 10
/** The newest Valkey whose RDB is understood here. */
const VALKEY_VERSION = '9.1.0'

type Stage = 'preamble' | 'rdb' | 'stream'

/** Stands for a refusal that means "PSYNC is not for you here". */
class PsyncRefused extends MigrateError {
  constructor(label: string, reply: string) {
    super(
      'FM_PSYNC_REFUSED',
      `${label} refuses PSYNC: ${reply.slice(0, 120)}`,
      'Use --capture notifications, or give the user the rights listed in docs/permissions.md.',
    )
  }
}

/**
 * Receives a replication stream at the source's own pace into a spool, acknowledges every second, and comes back after
 * a lost link: with a partial resync where the source can, else with a new epoch. Never appears as a replica that
 * anything could promote: it announces port 0.
 */
export class ReplicationReceiver {
  private readonly options: ReceiverOptions
  private readonly epochs: Epoch[] = []
  private history: History = { replid: '?' }
  private waiting: (() => void) | null = null
  private failure: MigrateError | null = null
  private stopped = false
  private link: RedisLink | null = null
  private spool: Spool | null = null
  private stage: Stage = 'stream'
  private received = 0
  private acknowledged = 0
  /** Full resyncs in a row that were begun and did not come to an end. */
  private cutShort = 0
  private rdbLeft = 0
  private mark: Buffer | null = null
  private tail: Buffer = Buffer.alloc(0)
  private preamble: Buffer = Buffer.alloc(0)
  private ready = false
  /** Nothing came since the source accepted a full resync. */
  private mute = false
  private running: Promise<void> | null = null

  constructor(options: ReceiverOptions) {
    this.options = options
    options.signal.addEventListener('abort', () => this.stop(), { once: true })
  }

  /** Of the stream that was received last. */
  get replid(): string {
    return this.history.replid
  }

  /** Offset of the last byte received. */
  get offset(): number {
    return this.received
  }

  get spooledBytes(): number {
    return this.spool?.waiting ?? 0
  }

  /**
   * Connects; resolves when the source has answered PSYNC.
   * @throws PsyncRefused, MigrateError
   */
  async start(from?: { replid: string; offset: number }): Promise<void> {
    if (from) {
      this.history = { replid: from.replid }
      this.received = from.offset
      this.acknowledged = from.offset
      this.ready = true
    }
    const connected = Promise.withResolvers<void>()
    this.running = this.loop(connected.resolve, connected.reject)
    await connected.promise
  }

  /** The next epoch; null when the receiver was stopped. @throws what ended the receiver */
  async nextEpoch(): Promise<Epoch | null> {
    for (;;) {
      const epoch = this.epochs.shift()
      if (epoch) return epoch
      if (this.failure) throw this.failure
      if (this.stopped) return null
      await new Promise<void>((resolve) => {
        this.waiting = resolve
      })
    }
  }

  stop(): void {
    this.stopped = true
    this.link?.close()
    this.spool?.end()
    this.notify()
  }

  async close(): Promise<void> {
    this.stop()
    await this.running
    await this.options.settings?.restore()
    await this.spool?.close()
  }

  private notify(): void {
    this.waiting?.()
    this.waiting = null
  }

  private async loop(connected: () => void, refused: (error: unknown) => void): Promise<void> {
    // Where another server takes the place of a lost one, the first try is as good as any.
    let first = !this.options.again && this.options.endpoint.moving === undefined
    let wait = 100
    let lostAt = Date.now()
    while (!this.stopped) {
      try {
        await this.connect()
        connected()
        const reason = await this.receive()
        if (this.stopped) break
        if (this.stage === 'stream') {
          this.cutShort = 0
          wait = 100
          lostAt = Date.now()
        } else {
          // Nothing was gained: the time since the last good moment goes on, and each try waits longer.
          if (this.cutShort++ === 0) lostAt = Date.now()
          wait = Math.min(RESYNC_WAIT_MS * 2 ** (this.cutShort - 1), RESYNC_MOST_MS)
          if (Date.now() - lostAt + wait > this.options.retryMs) throw this.neverWhole(reason)
        }
        first = false
        this.options.logger.log('warn', `the link to the source was lost: ${reason?.message ?? 'closed'}`, {
          offset: this.received,
        })
      } catch (cause) {
        if (this.stopped) break
        const error =
          cause instanceof MigrateError
            ? cause
            : new MigrateError('FM_INTERNAL', String(cause), 'Please report this.', { cause })
        const over = Date.now() - lostAt > (first ? Math.min(this.options.retryMs, 60_000) : this.options.retryMs)
        if (!error.retryable || over || (first && error.code.startsWith('FM_CONNECT'))) {
          this.failure = error
          this.spool?.fail(error)
          refused(error)
          this.notify()
          return
        }
        this.options.logger.log('warn', `${error.message}; trying again`)
      }
      await sleep(wait, undefined, { signal: this.options.signal }).catch(() => undefined)
      if (this.cutShort === 0) wait = Math.min(wait * 2, mostWaitMs(this.options.endpoint))
    }
    connected()
    this.notify()
  }

  private neverWhole(reason: MigrateError | null): MigrateError {
    return new MigrateError(
      'FM_SNAPSHOT_CUT',
      `${this.options.endpoint.label} broke its snapshot off ${this.cutShort} times${reason === null ? '' : `: ${reason.message}`}`,
      'Look into its log (client-output-buffer-limit, disk, memory), or give more time with --sync-timeout.',
      reason === null ? {} : { cause: reason },
    )
  }

  private async connect(): Promise<void> {
    const { endpoint, signal } = this.options
    const link = await RedisLink.open({ ...endpoint, db: 0 }, this.options.trace, READ_BYTES, signal)
    this.link = link
    if (this.stopped) return link.close()
    const replies = await link.pipeline((out) => {
      out.call('REPLCONF', 'listening-port', '0')
      out.call('REPLCONF', 'capa', 'eof', 'capa', 'psync2')
      // To a replica that names no version Valkey 9 sends an older RDB, and none at all where that cannot hold the data.
      out.call('REPLCONF', 'version', VALKEY_VERSION)
      return 3
    })
    for (const reply of replies) {
      if (!(reply instanceof Error)) continue
      if (/NOPERM/.test(reply.message)) throw new PsyncRefused(endpoint.label, reply.message)
      // Servers before 2.8 or proxies do not know REPLCONF; the answer to PSYNC decides.
      this.options.logger.log('debug', `REPLCONF: ${reply.message}`)
    }
    const resumable = this.ready && this.stage === 'stream' && this.replid !== '?' && !(await this.readBeyond(link))
    if (!resumable) await this.options.settings?.change()
    try {
      await this.psync(link, resumable ? this.replid : '?', resumable ? this.received + 1 : -1)
    } finally {
      void this.options.settings?.restore()
    }
  }

  /**
   * True when values were read that a promoted server never had: at the former primary, behind the offset up to which both have
   * the same history. The stream would not mend them, so everything is read again.
   */
  private async readBeyond(link: RedisLink): Promise<boolean> {
    const { endpoint, readUpTo, logger } = this.options
    if (endpoint.moving === undefined || readUpTo() === 0) return false
    const info = await readInfo(link, 'replication')
    if (info.get('master_replid') === this.replid || readUpTo() < Number(info.get('second_repl_offset'))) return false
    logger.log('warn', 'keys were read at the former primary that the new one does not have like that: a full resync')
    return true
  }

  private psync(link: RedisLink, replid: string, offset: number): Promise<void> {
    return new Promise((resolve, reject) => {
      let line: Buffer = Buffer.alloc(0)
      const timer = setTimeout(
        () =>
          link.destroy(
            new MigrateError(
              'FM_CONNECT_TIMEOUT',
              `${this.options.endpoint.label} does not answer PSYNC`,
              'Look into the log of the source.',
              { retryable: true },
            ),
          ),
        60_000,
      )
      void link.closed.then((reason) => {
        clearTimeout(timer)
        reject(reason ?? new MigrateError('FM_CONNECT_LOST', 'stopped', 'Start again.', { retryable: true }))
      })
      link.takeOver((chunk) => {
        line = Buffer.concat([line, chunk])
        let start = 0
        while (start < line.length && line[start] === 10) start++
        const end = line.indexOf(10, start)
        if (end < 0) {
          if (line.length > MOST_LINE) link.destroy(damagedReply('a line without end'))
          return
        }
        clearTimeout(timer)
        try {
          this.answer(line.toString('latin1', start, end).trimEnd())
          const rest = line.subarray(end + 1)
          link.takeOver((data) => this.take(data))
          if (rest.length > 0) this.take(rest)
          resolve()
        } catch (error) {
          reject(error)
          link.close()
        }
      })
      const out = new RespWriter(256)
      out.call('PSYNC', replid, String(offset))
      link.send(out.take())
    })
  }

  private answer(line: string): void {
    const { label } = this.options.endpoint
    const full = /^\+FULLRESYNC ([0-9a-z]{1,64}) (\d{1,18})$/i.exec(line)
    if (full) {
      // What is left of the former stream keeps its own.
      this.history = { replid: full[1] }
      this.received = Number(full[2])
      this.acknowledged = this.received
      this.stage = 'preamble'
      this.mute = true
      this.preamble = Buffer.alloc(0)
      this.ready = false
      return
    }
    const partial = /^\+CONTINUE(?: ([0-9a-z]{1,64}))?$/i.exec(line)
    if (partial) {
      if (partial[1]) this.history.replid = partial[1]
      this.stage = 'stream'
      if (this.spool === null) {
        this.spool = new Spool(this.options.spool)
        this.epochs.push({
          kind: 'partial',
          history: this.history,
          spool: this.spool,
          offset: this.received,
          mark: null,
        })
        this.notify()
      }
      return
    }
    if (/^-(NOMASTERLINK|LOADING|MASTERDOWN|BUSY|TRYAGAIN)/.test(line))
      throw handshakeError(
        this.options.endpoint,
        line.replace(/^-NOMASTERLINK/, 'MASTERDOWN').slice(line.startsWith('-NOMASTER') ? 0 : 1),
      )
    if (/^-NOAUTH/.test(line)) throw handshakeError(this.options.endpoint, line.slice(1))
    throw new PsyncRefused(label, line)
  }

  /** Receives until the link is gone. */
  private async receive(): Promise<MigrateError | null> {
    const link = this.link!
    this.expectSigns()
    const timer = setInterval(() => {
      if (this.stage !== 'preamble') this.sendAck()
    }, ACK_MS)
    const reason = await link.closed
    clearInterval(timer)
    // Not instanceof: every MigrateError is one, whatever its class.
    if (reason?.code === 'FM_PSYNC_REFUSED') throw reason
    if (this.stage === 'rdb') {
      this.spool?.end(true)
      this.spool = null
    }
    return reason
  }

  /** What the source owes now: newlines while it prepares a snapshot, the snapshot, and a ping when nothing is written. */
  private expectSigns(): void {
    const { endpoint, pingMs } = this.options
    if (this.stage === 'stream') this.link!.expectSigns(Math.max(SILENCE_MS, MISSED_PINGS * pingMs))
    else if (this.stage === 'preamble' && this.mute)
      this.link!.expectSigns(MUTE_MS, () => new PsyncRefused(endpoint.label, 'it accepted and then sent nothing'))
    else
      this.link!.expectSigns(
        SILENCE_MS,
        () =>
          new MigrateError(
            'FM_CONNECT_SILENT',
            `${endpoint.label} stopped sending its snapshot`,
            'Look into the log of the source.',
            { retryable: true },
          ),
      )
  }

  private sendAck(): void {
    const durable = this.options.durable()
    // Offsets of another history say nothing here.
    if (durable?.replid === this.replid) this.acknowledged = Math.max(this.acknowledged, durable.offset)
    const out = new RespWriter(64)
    out.call('REPLCONF', 'ACK', String(this.acknowledged))
    this.link?.send(out.take())
  }

  private take(chunk: Buffer): void {
    if (this.stage === 'stream') {
      this.received += chunk.length
      if (this.options.cluster && chunk.includes(GETACK, Math.max(0, chunk.length - GETACK_WITHIN))) {
        this.acknowledged = this.received
        this.sendAck()
      }
      this.spool!.push(chunk)
    } else if (this.stage === 'rdb') {
      this.takeRdb(chunk)
      const rest = this.options.pace()
      if (rest > 0) this.link!.rest(rest)
    } else this.takePreamble(chunk)
    if (this.spool?.isFull) this.link!.rest(PAUSE_MS)
  }

  private takePreamble(chunk: Buffer): void {
    if (this.mute) {
      this.mute = false
      this.expectSigns()
    }
    let data = this.preamble.length === 0 ? chunk : Buffer.concat([this.preamble, chunk])
    let start = 0
    while (start < data.length && (data[start] === 10 || data[start] === 13)) start++
    data = data.subarray(start)
    const end = data.indexOf(10)
    if (end < 0) {
      if (data.length > MOST_LINE) throw damagedReply('a line without end')
      this.preamble = Buffer.from(data)
      return
    }
    const line = data.toString('latin1', 0, end).trimEnd()
    const sized = /^\$(\d{1,15})$/.exec(line)
    const marked = /^\$EOF:(.{40})$/.exec(line)
    if (!sized && !marked) {
      this.link!.destroy(
        line.startsWith('-')
          ? handshakeError(this.options.endpoint, line.slice(1))
          : new MigrateError(
              'FM_STREAM_CORRUPT',
              `the source announced its snapshot with "${line.slice(0, 60)}"`,
              'Report this with the source version.',
            ),
      )
      return
    }
    // A new epoch: what the former one left unread is overtaken by the snapshot.
    this.spool?.end(true)
    this.spool = new Spool(this.options.spool)
    this.mark = marked ? Buffer.from(marked[1], 'latin1') : null
    this.tail = Buffer.alloc(0)
    this.rdbLeft = sized ? Number(sized[1]) : Number.POSITIVE_INFINITY
    this.stage = 'rdb'
    this.epochs.push({
      kind: 'full',
      history: this.history,
      spool: this.spool,
      offset: this.received,
      ...(sized ? { rdbBytes: this.rdbLeft } : {}),
      mark: this.mark,
    })
    this.notify()
    const rest = data.subarray(end + 1)
    if (rest.length > 0) this.takeRdb(rest)
  }

  private takeRdb(chunk: Buffer): void {
    if (this.mark === null) {
      const own = Math.min(chunk.length, this.rdbLeft)
      this.rdbLeft -= own
      this.spool!.push(chunk.subarray(0, own))
      if (this.rdbLeft > 0) return
      this.startStream()
      if (own < chunk.length) this.take(chunk.subarray(own))
      return
    }
    this.spool!.push(chunk)
    // The stream starts only after an acknowledgement, so the mark is always the end of what was received.
    this.tail =
      chunk.length >= MARK_BYTES
        ? Buffer.from(chunk.subarray(-MARK_BYTES))
        : Buffer.concat([this.tail, chunk]).subarray(-MARK_BYTES)
    if (this.tail.equals(this.mark)) this.startStream()
  }

  private startStream(): void {
    this.stage = 'stream'
    this.ready = true
    this.expectSigns()
    this.hurryStream(this.received, 0)
  }

  /**
   * A primary starts the stream with the first acknowledgement after it has noticed, a moment after the last byte, that its
   * snapshot is through: so several, until something comes.
   */
  private hurryStream(from: number, times: number): void {
    if (this.stopped || this.stage !== 'stream' || this.received !== from || times >= HURRY_TIMES) return
    this.sendAck()
    setTimeout(() => this.hurryStream(from, times + 1), HURRY_MS)
  }
}
