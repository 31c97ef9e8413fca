import type {
  ChangeRecord,
  ChangesEvent,
  DirtyKey,
  Lag,
  Position,
  ReadAt,
  ReadRequest,
  Shard,
  SnapshotRecord,
  SourceEvent,
} from '@ferrite-migrate/contracts'
import { keySlot } from '@ferrite-migrate/protocol'
import type { PsyncShard } from '../psync-shard.js'
import { clusterPosition, parseClusterPosition, streamPosition } from './cluster-position.js'
import { keysOfChange, NO_SLOT, slotOfChange, slotOfRecord } from './command-slot.js'
import type { DoubtfulKeys } from './doubtful-keys.js'
import type { HandoverShard, SlotHandover } from './slot-handover.js'
import type { SlotOwners } from './slot-owners.js'
import type { SnapshotEnd } from './snapshot-end.js'

/** A copy ends when no stream has anything left: how soon that is noticed, ms. */
const SOON_MS = 20
/** Keys of one event. */
const KEYS_AT_ONCE = 5000

/** The stream of one server. */
export type OneStream = Pick<
  PsyncShard,
  'read' | 'acknowledge' | 'covers' | 'positionAt' | 'readAt' | 'lag' | 'stop' | 'close'
>

/** What a shard shares with the others of its cluster. */
export interface ClusterShardNeeds {
  readonly owners: SlotOwners
  readonly doubtful: DoubtfulKeys
  readonly handover: SlotHandover
  /** Tells whose slots this shard had when it was read up to there; null = it is read from its beginning. Resolves when all have. */
  begin(shard: string, slots: readonly number[] | null): Promise<void>
  /** The end of the snapshots where nothing follows them. */
  snapshotEnd(): SnapshotEnd
  /** Something came for a slot of another shard, or was given or became durable. */
  changed(surprise: boolean): void
  /** Where the primary of this shard stands, and which keys it has of these slots. */
  standing(shard: string): Promise<number | null>
  /** Before anything is read: the slot is this shard's in the cluster. */
  ownsBefore(shard: string, slot: number): boolean
  /** Something of a slot was left out that another shard has, or that moves. */
  leftOut(slot: number): void
  keysOf(shard: string, slots: readonly number[]): Promise<DirtyKey[]>
}

/** Keys that are to be read again. */
interface Order {
  readonly keys: readonly DirtyKey[]
  readonly sweep: boolean
}

/** What is left of transactions when only some of the records are, in the same order. */
function transactionsOf(
  all: readonly ChangeRecord[],
  left: readonly ChangeRecord[],
  transactions: NonNullable<ChangesEvent['transactions']>,
): [number, number][] {
  const ranges: [number, number][] = []
  let at = 0
  let kept = 0
  const pass = (end: number): void => {
    for (; at < end; at++) if (left[kept] === all[at]) kept++
  }
  for (const [first, count] of transactions) {
    pass(first)
    const begun = kept
    pass(first + count)
    if (kept > begun + 1) ranges.push([begun, kept - begun])
  }
  return ranges
}

/** Resolves when the promise does, or when the signal aborts. */
async function unlessAborted(promise: Promise<void>, signal: AbortSignal): Promise<void> {
  if (signal.aborted) return
  const { promise: aborted, resolve } = Promise.withResolvers<void>()
  const wake = (): void => resolve()
  signal.addEventListener('abort', wake, { once: true })
  await Promise.race([promise, aborted]).finally(() => signal.removeEventListener('abort', wake))
}

function offsetOf(stream: Position): number {
  return Number(stream.split(':')[1])
}

/** The stream of one primary, of which only the commands for its own slots are taken. */
export class ClusterShard implements Shard, HandoverShard {
  readonly id: string
  isLive = false
  isOver = false
  given: number | null = null
  durable: number | null = null
  eventsGiven = 0
  eventsTaken = 0
  private readonly inner: OneStream
  private readonly needs: ClusterShardNeeds
  private readonly place: number
  private readonly orders: Order[] = []
  private ended = false

  constructor(id: string, inner: OneStream, needs: ClusterShardNeeds) {
    this.id = id
    this.inner = inner
    this.needs = needs
    this.place = needs.owners.placeOf(id)
    needs.handover.join(this)
  }

  async *read(request: ReadRequest): AsyncGenerator<SourceEvent> {
    const from = request.from === undefined ? null : parseClusterPosition(request.from)
    this.isLive = false
    this.given = null
    this.durable = null
    this.orders.length = 0
    // The others may never begin, where the reading ends before.
    await unlessAborted(this.needs.begin(this.id, from?.slots ?? null), request.signal)
    if (request.signal.aborted) return
    const { from: _, ...whole } = request
    try {
      if (request.changes) yield* this.followed(from === null ? whole : { ...whole, from: from.stream })
      else yield* this.alone(whole, this.needs.snapshotEnd())
    } finally {
      this.eventsTaken = this.eventsGiven
      this.isLive = false
      this.isOver = this.ended
    }
  }

  /** Its snapshot and its changes. */
  private async *followed(request: ReadRequest): AsyncGenerator<SourceEvent> {
    for await (const event of this.inner.read(request)) {
      const { failure } = this.needs.handover
      if (failure !== null) throw failure
      yield* this.ordered()
      // What is given now says which slots are right here: of these nothing may wait to be named, and naming takes its time.
      const made = this.translated(event)
      // What was left out just now cannot be handed over where another process has the other shard.
      if (this.needs.handover.failure !== null) throw this.needs.handover.failure
      this.eventsGiven++
      if (made !== null) yield made
      // Whoever asks for the next one has taken this one whole.
      this.eventsTaken = this.eventsGiven
      this.needs.changed(false)
    }
  }

  /** Its snapshot alone. Its stream is listened to until those of all shards are read: what moves leaves a trace there. */
  private async *alone(request: ReadRequest, end: SnapshotEnd): AsyncGenerator<SourceEvent> {
    const { signal } = request
    let allRead = false
    let goal: number | null = null
    for await (const event of this.inner.read({ ...request, changes: true }, SOON_MS)) {
      if (event.kind === 'changes') {
        for (const record of event.records) this.listen(record, end)
        event.release?.()
        if (!allRead) continue
        goal ??= await this.standing()
        if (goal === null || offsetOf(event.position) >= goal) break
      } else if (event.kind === 'snapshot') {
        const records = this.ownRecords(event.records, end)
        yield records === event.records ? event : { ...event, records }
      } else if (event.kind === 'snapshot-end') {
        yield event.position === undefined ? event : { ...event, position: this.at(event.position) }
        void end.snapshotRead(this.id).then(() => {
          allRead = true
        })
      } else yield event
    }
    if (signal.aborted) return
    let keys: readonly DirtyKey[] = []
    await unlessAborted(
      end.streamHeard(this.id).then((missing) => {
        keys = missing
      }),
      signal,
    )
    this.readAgain(keys, false)
    yield* this.ordered()
  }

  private listen(record: ChangeRecord, end: SnapshotEnd): void {
    const slot = slotOfChange(record)
    if (slot === NO_SLOT) return
    if (record.name === 'RESTORE-ASKING' || this.needs.owners.at(slot) !== this.place) end.mark(slot)
  }

  acknowledge(position: Position): void {
    const stream = streamPosition(position)
    this.inner.acknowledge(stream)
    this.durable = offsetOf(stream)
    if (this.needs.handover.pending > 0) this.needs.changed(false)
  }

  covers(position: Position, mark: Position): boolean {
    return this.inner.covers(streamPosition(position), streamPosition(mark))
  }

  /** The position at this offset of the present stream; only for comparisons. */
  positionAt(offset: number): Position {
    return clusterPosition(this.inner.positionAt(offset), '')
  }

  async readAt(keys: readonly DirtyKey[]): Promise<ReadAt> {
    const read = await this.inner.readAt(keys)
    return { ...read, position: clusterPosition(read.position, '') }
  }

  async lag(applied: Position | undefined): Promise<Lag> {
    const behind = await this.inner.lag(applied === undefined ? undefined : streamPosition(applied))
    const lag = { ...behind, slots: this.needs.owners.slotsOf(this.id).length }
    // What is between the shards is told by one of them.
    const unsettled = this.waiting + (this.needs.handover.isFirst(this.id) ? this.needs.handover.pending : 0)
    return unsettled === 0 || lag.keys === undefined
      ? lag
      : { ...lag, keys: lag.keys + unsettled, bytes: (lag.bytes ?? 0) + unsettled, unsettled }
  }

  /** Keys that are to be read again and were not named yet. */
  get waiting(): number {
    return this.orders.reduce((sum, { keys, sweep }) => sum + keys.length + (sweep ? 1 : 0), 0)
  }

  owns(_db: number, key: Buffer): boolean {
    const slot = keySlot(key)
    return this.needs.owners.at(slot) === this.place || this.needs.ownsBefore(this.id, slot)
  }

  standing(): Promise<number | null> {
    return this.needs.standing(this.id)
  }

  keysOf(slots: readonly number[]): Promise<DirtyKey[]> {
    return this.needs.keysOf(this.id, slots)
  }

  readAgain(keys: readonly DirtyKey[], sweep: boolean): void {
    this.orders.push({ keys, sweep })
  }

  /** It has left the cluster: its stream ends, and nothing of it is waited for. */
  end(): void {
    this.ended = true
    this.isOver = true
    this.inner.stop()
  }

  close(): Promise<void> {
    return this.inner.close()
  }

  /** All of them, also those that come while others are taken. */
  private *ordered(): Generator<SourceEvent> {
    for (let order = this.orders.shift(); order !== undefined; order = this.orders.shift()) {
      const { keys, sweep } = order
      for (let at = 0; at < keys.length; at += KEYS_AT_ONCE)
        yield { kind: 'dirty', keys: keys.slice(at, at + KEYS_AT_ONCE) }
      if (sweep) yield { kind: 'dirty', keys: [], sweep: true }
    }
  }

  /** Null = nothing of it is wanted. */
  private translated(event: SourceEvent): SourceEvent | null {
    switch (event.kind) {
      case 'sync':
        this.isLive = event.mode === 'partial'
        this.given = null
        this.durable = null
        return event
      case 'snapshot': {
        const records = this.ownRecords(event.records, null)
        return records === event.records ? event : { ...event, records }
      }
      case 'snapshot-end':
        this.isLive = true
        return event.position === undefined ? event : { ...event, position: this.at(event.position) }
      case 'changes':
        return this.changes(event)
      default:
        return event
    }
  }

  private changes(event: ChangesEvent): ChangesEvent {
    const records = this.ownChanges(event.records)
    if (event.byteLength > 0) this.given = offsetOf(event.position)
    const { transactions } = event
    return {
      ...event,
      ...(transactions === undefined || records === event.records
        ? {}
        : { transactions: transactionsOf(event.records, records, transactions) }),
      ...{ records, position: this.at(event.position) },
    }
  }

  private at(stream: Position): Position {
    return clusterPosition(stream, this.needs.owners.textOf(this.id))
  }

  /** What else is in a snapshot came or comes with a slot that is not the shard's: another has it, or is about to give it. */
  private ownRecords(records: readonly SnapshotRecord[], end: SnapshotEnd | null): readonly SnapshotRecord[] {
    const { owners, doubtful } = this.needs
    let own: SnapshotRecord[] | null = null
    for (let i = 0; i < records.length; i++) {
      const record = records[i]
      const slot = slotOfRecord(record)
      if (owners.at(slot) === this.place) own?.push(record)
      else {
        own ??= records.slice(0, i)
        if (end !== null) end.mark(slot)
        else {
          doubtful.add(slot, [{ db: record.db, key: Buffer.from(record.key) }])
          this.needs.leftOut(slot)
        }
      }
    }
    if (own !== null && end === null) owners.touched()
    return own ?? records
  }

  private ownChanges(records: readonly ChangeRecord[]): readonly ChangeRecord[] {
    const { owners } = this.needs
    let own: ChangeRecord[] | null = null
    for (let i = 0; i < records.length; i++) {
      const record = records[i]
      const slot = slotOfChange(record)
      // A key that comes by a move, also one that comes back to its own shard.
      if (record.name === 'RESTORE-ASKING') this.needs.leftOut(slot)
      if (slot === NO_SLOT || (owners.at(slot) === this.place && !this.isMoved(slot, record))) own?.push(record)
      else {
        own ??= records.slice(0, i)
        this.leaveOut(slot, record)
      }
    }
    return own ?? records
  }

  /** A key that is deleted while its slot moves is most likely at the next node already: whoever has it in the end is asked. */
  private isMoved(slot: number, { name }: ChangeRecord): boolean {
    return (name === 'DEL' || name === 'UNLINK') && this.needs.handover.isMoving(slot)
  }

  private leaveOut(slot: number, record: ChangeRecord): void {
    const { doubtful, handover, owners } = this.needs
    doubtful.add(slot, keysOfChange(record))
    this.needs.leftOut(slot)
    if (record.name === 'RESTORE-ASKING') handover.trace(slot)
    owners.touched()
    this.needs.changed(true)
  }
}
