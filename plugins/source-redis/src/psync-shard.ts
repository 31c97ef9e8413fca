import {
  type ChangesEvent,
  type DirtyKey,
  type Lag,
  type Logger,
  MigrateError,
  PackedChange,
  PackedRecord,
  type Position,
  type ReadAt,
  type ReadRequest,
  type Shard,
  type SnapshotRecord,
  type SourceEvent,
  splitCommand,
} from '@ferrite-migrate/contracts'
import { type Block, ByteWindow, CommandScan, databaseNumber, INCOMPLETE, RdbReader } from '@ferrite-migrate/protocol'
import { type Endpoint, isOwnKey, isOwnRange, RedisLink, readInfo, writesOwnKey } from '@ferrite-migrate/redis'
import { readDatabasesAt, readSlotsAt } from './read-at.js'
import { type Epoch, type ReceiverOptions, ReplicationReceiver } from './replication-receiver.js'

export interface PsyncShardOptions extends Omit<ReceiverOptions, 'signal' | 'pace' | 'durable' | 'again' | 'readUpTo'> {
  readonly batchSize: number
  readonly logger: Logger
  readonly sliceLimit: number
  /** Where the snapshot and the stream come from, where that is not the server itself but a replica of it. */
  readonly streamFrom?: Endpoint
  /** Keys at the source when it was opened, for progress. */
  readonly keys: number
  /** Told of keys that were to be read here and are on another node of the cluster. */
  readonly elsewhere?: (keys: readonly DirtyKey[]) => void
  /** Clock of the source minus the clock here, ms. */
  readonly clockSkewMs: number
  /** Bytes of one transaction, which is kept in memory until its end. */
  readonly transactionLimit: number
}

const BATCH_BYTES = 512 << 10
const IDLE_MS = 200
const REST_MS = 1
const REST_BELOW = 16 << 10
/** Memory that a command takes besides its bytes. */
const RECORD_BYTES = 128

/** What another migration keeps at this server: no data. */
function isOwn(record: SnapshotRecord): boolean {
  return record instanceof PackedRecord
    ? isOwnRange(record.keyData, record.keyStart, record.keyEnd)
    : isOwnKey(record.key)
}

function parsePosition(position: Position): { replid: string; offset: number; db: number } {
  const match = /^([0-9a-zA-Z]{1,64}):(\d{1,16}):(\d{1,5})$/.exec(position)
  if (!match)
    throw new MigrateError(
      'FM_POSITION_INVALID',
      `"${position.slice(0, 80)}" is no position of a replication stream`,
      'Start again without it.',
    )
  return { replid: match[1], offset: Number(match[2]), db: Number(match[3]) }
}

/** The replication stream of one server. */
export class PsyncShard implements Shard {
  readonly id: string
  private readonly options: PsyncShardOptions
  private receiver: ReplicationReceiver | null = null
  private control: Promise<RedisLink> | null = null
  private db = 0
  private oldestAt = 0
  /** The last acknowledged position. */
  private durable: Position | null = null
  private bytesPerCommand = 40
  /** Aborted when nothing is asked any more. */
  private readonly stopping = new AbortController()
  /** Offsets at which an event must end, since values were read there. */
  private readonly marks = new Set<number>()
  private wasRead = false
  /** The last offset that values were read at. */
  private readAtOffset = 0

  constructor(id: string, options: PsyncShardOptions) {
    this.id = id
    this.options = options
  }

  acknowledge(position: Position): void {
    this.durable = position
  }

  covers(position: Position, mark: Position): boolean {
    return parsePosition(position).offset >= parsePosition(mark).offset
  }

  /** The position at this offset of the present stream; only for comparisons, since it carries no database. */
  positionAt(offset: number): Position {
    return `${this.receiver?.replid}:${offset}:0`
  }

  async lag(applied: Position | undefined): Promise<Lag> {
    const receiver = this.receiver
    if (receiver === null) return {}
    if (applied === undefined) return { spooledBytes: receiver.spooledBytes }
    const info = await readInfo(await this.controlLink(), 'replication')
    const offset = Number(info.get('master_repl_offset') ?? receiver.offset)
    const at = parsePosition(applied).offset
    const bytes = Math.max(0, offset - at)
    return {
      bytes,
      keys: Math.ceil(bytes / this.bytesPerCommand),
      ms: bytes === 0 || this.oldestAt === 0 ? 0 : Math.max(0, Date.now() - this.oldestAt),
      spooledBytes: receiver.spooledBytes,
    }
  }

  private controlLink(): Promise<RedisLink> {
    if (this.control === null) {
      const link = RedisLink.open(
        { ...this.options.endpoint, db: 0 },
        this.options.trace,
        undefined,
        this.stopping.signal,
      )
      this.control = link
      const forget = (): void => {
        if (this.control === link) this.control = null
      }
      link.then((open) => open.closed.then(forget), forget)
    }
    return this.control
  }

  /** Ends the reading. */
  stop(): void {
    this.receiver?.stop()
  }

  /** Closes what stays open between reads. */
  async close(): Promise<void> {
    this.receiver?.stop()
    this.stopping.abort()
    await this.control?.then(
      (link) => link.close(),
      () => undefined,
    )
  }

  async readAt(keys: readonly DirtyKey[]): Promise<ReadAt> {
    const link = await this.controlLink()
    const { endpoint, cluster } = this.options
    const told = endpoint.moving !== undefined
    const { records, offset, info, elsewhere } = await (cluster
      ? readSlotsAt(link, keys)
      : readDatabasesAt(link, keys, told))
    if (elsewhere !== undefined) this.options.elsewhere?.(elsewhere.map((i) => keys[i]))
    if (info !== null) this.mustBeOfStream(info)
    this.marks.add(offset)
    this.readAtOffset = Math.max(this.readAtOffset, offset)
    return {
      ...{ records, position: this.positionAt(offset) },
      ...(elsewhere === undefined ? {} : { elsewhere }),
    }
  }

  /** An offset has a meaning in one history only: after a failover the stream may be of another than the values, for a moment. */
  private mustBeOfStream(info: ReadonlyMap<string, string>): void {
    const { label } = this.options.endpoint
    if (this.receiver === null || info.get('master_replid') === this.receiver.replid) return
    throw new MigrateError(
      'FM_CONNECT_LOST',
      `${label} has failed over while keys were read`,
      'They are read again where the stream comes from.',
      { retryable: true },
    )
  }

  /** @param idleMs after so long without changes an event without any tells that there are none */
  async *read(request: ReadRequest, idleMs = IDLE_MS): AsyncGenerator<SourceEvent> {
    const receiver = new ReplicationReceiver({
      ...this.options,
      endpoint: this.options.streamFrom ?? this.options.endpoint,
      signal: request.signal,
      durable: () => (this.durable === null ? null : parsePosition(this.durable)),
      pace: () => request.pace?.() ?? 0,
      again: this.wasRead,
      readUpTo: () => this.readAtOffset,
    })
    this.receiver = receiver
    this.durable = null
    this.readAtOffset = 0
    const from = request.from === undefined ? undefined : parsePosition(request.from)
    this.db = from?.db ?? 0
    try {
      await receiver.start(from)
      this.wasRead = true
      for (;;) {
        const epoch = await receiver.nextEpoch()
        if (epoch === null) return
        const window = new ByteWindow(epoch.spool)
        try {
          if (epoch.kind === 'full') {
            yield* this.snapshot(epoch, window)
            if (!request.changes) return
          } else yield { kind: 'sync', mode: 'partial' }
          epoch.spool.idleMs = idleMs
          yield* this.changes(epoch, window, Math.max(this.options.batchSize, request.changesAtOnce ?? 0))
        } catch (error) {
          // An RDB that ends early because the link was lost: the next epoch brings a whole one.
          const cut = error instanceof MigrateError && error.code === 'FM_RDB_TRUNCATED'
          if (!cut) throw error
          if (request.signal.aborted) return
        } finally {
          await epoch.spool.close()
        }
      }
    } finally {
      this.receiver = null
      await receiver.close()
    }
  }

  private async *snapshot(epoch: Epoch, window: ByteWindow): AsyncGenerator<SourceEvent> {
    const { batchSize, sliceLimit } = this.options
    const reader = new RdbReader(window, { batchRecords: batchSize, sliceLimit, checksum: true })
    let announced = false
    let bytes = 0
    this.db = 0
    this.marks.clear()
    this.readAtOffset = 0
    for await (const event of reader.read()) {
      if (event.kind === 'header') {
        announced = true
        yield {
          kind: 'sync',
          mode: 'full',
          keys: this.options.keys,
          ...(epoch.rdbBytes === undefined ? {} : { bytes: epoch.rdbBytes }),
          rdbVersion: event.version,
        }
      } else if (event.kind === 'records') {
        const { byteLength, block } = event
        const records = event.records.some(isOwn) ? event.records.filter((record) => !isOwn(record)) : event.records
        yield { kind: 'snapshot', records, byteLength, release: () => block.release() }
      } else if (event.kind === 'function') yield { kind: 'aside', what: 'function', payload: event.source }
      else if (event.kind === 'module-aux') yield { kind: 'aside', what: 'module-aux', payload: event.payload }
      else if (event.kind === 'aux' && event.name === 'repl-stream-db')
        this.db = databaseNumber(event.value, 'the snapshot of the source')
      else if (event.kind === 'end') bytes = event.byteLength
    }
    if (!announced) throw new MigrateError('FM_RDB_TRUNCATED', 'the source sent no snapshot', 'Start again.')
    if (epoch.rdbBytes !== undefined && epoch.rdbBytes !== bytes)
      throw new MigrateError(
        'FM_RDB_CORRUPT',
        `the source announced a snapshot of ${epoch.rdbBytes} bytes, and it has ${bytes}`,
        'Start again; if it comes back, something between here and the source changes what it sends.',
      )
    if (epoch.mark !== null) {
      if (!(await window.need(epoch.mark.length)))
        throw new MigrateError('FM_RDB_TRUNCATED', 'the mark behind the snapshot is missing', 'Start again.')
      if (epoch.mark.compare(window.data, window.pos, window.pos + epoch.mark.length) !== 0)
        throw new MigrateError(
          'FM_RDB_CORRUPT',
          'the mark behind the snapshot is not the one that was announced',
          'Start again; if it comes back, something between here and the source changes what it sends.',
        )
      window.pos += epoch.mark.length
    }
    yield { kind: 'snapshot-end', position: `${epoch.history.replid}:${epoch.offset}:${this.db}` }
  }

  private async *changes(epoch: Epoch, window: ByteWindow, most: number): AsyncGenerator<SourceEvent> {
    const scan = new CommandScan()
    const start = window.offset()
    let records: PackedChange[] = []
    let blocks: Block[] = []
    let from = window.offset()
    let inTransaction = false
    let transactions: [number, number][] = []
    let began = 0
    const skew = this.options.clockSkewMs
    const event = (): ChangesEvent => {
      const held = blocks
      const at = epoch.offset + window.offset() - start
      for (const mark of this.marks) if (mark <= at) this.marks.delete(mark)
      const byteLength = window.offset() - from
      if (records.length > 0) this.bytesPerCommand = this.bytesPerCommand * 0.9 + (byteLength / records.length) * 0.1
      const made: ChangesEvent = {
        kind: 'changes',
        records,
        ...(transactions.length > 0 ? { transactions } : {}),
        byteLength,
        position: `${epoch.history.replid}:${at}:${this.db}`,
        release: () => {
          for (const block of held) block.release()
        },
      }
      records = []
      transactions = []
      blocks = []
      from = window.offset()
      return made
    }
    for (;;) {
      const receivedAt = epoch.spool.arrivedAt(window.offset()) + skew
      this.oldestAt = receivedAt - skew
      const data = window.data
      const end = window.end
      scan.base = epoch.offset + window.offset(0) - start
      let held = false
      let incomplete = false
      // Offsets as places in this block, so that the loop adds and asks for nothing that stays the same meanwhile.
      const fromPlace = window.pos - (window.offset() - from)
      const batchEnd = fromPlace + BATCH_BYTES
      const { transactionLimit } = this.options
      while (inTransaction || (records.length < most && window.pos < batchEnd)) {
        const at = window.pos
        const next = scan.next(data, at, end)
        if (next === INCOMPLETE) {
          incomplete = true
          break
        }
        const spec = scan.spec(data)
        const { kind } = spec
        if (!inTransaction && records.length > 0 && (kind === 'flush' || kind === 'swapdb')) break
        window.pos = next
        if (kind === 'select')
          this.db = databaseNumber(splitCommand(data, scan.start, next)[1], 'the stream of the source')
        else if (kind === 'multi') {
          inTransaction = true
          began = records.length
        } else if (kind === 'exec') {
          inTransaction = false
          if (records.length > began + 1) transactions.push([began, records.length - began])
        } else if (kind !== 'link' && !writesOwnKey(data, scan.nameEnd)) {
          if (!held) {
            blocks.push(window.retain())
            held = true
          }
          records.push(new PackedChange(this.db, spec.name, data, scan.start, next, receivedAt, scan.base + next))
        }
        if (inTransaction) {
          if (next - fromPlace + records.length * RECORD_BYTES > transactionLimit)
            throw new MigrateError(
              'FM_STREAM_TRANSACTION',
              `the source sent a transaction of more than ${transactionLimit} bytes`,
              'A transaction is kept in memory until its end: allow more with --source-option transaction-limit.',
            )
        } else if (this.marks.size > 0 && this.marks.delete(epoch.offset + window.offset() - start)) break
      }
      if (!inTransaction && window.offset() > from) {
        const made = event()
        // A batch costs the same for one write as for fifty: those of the next moment go together.
        if (incomplete && made.byteLength + epoch.spool.waiting < REST_BELOW) epoch.spool.rest(REST_MS)
        yield made
      }
      if (!incomplete) continue
      const had = window.offset(window.end)
      if (!(await window.more())) return
      // An event without anything in it tells that the source is idle.
      if (window.offset(window.end) === had) {
        if (!inTransaction) yield event()
        continue
      }
      while (epoch.spool.waiting > 0 && window.end - window.pos < BATCH_BYTES) await window.more()
    }
  }
}
