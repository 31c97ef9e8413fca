import { setTimeout as sleep } from 'node:timers/promises'
import {
  type ChangeBatch,
  type ChangeRecord,
  type Checkpoint,
  type ConflictPolicy,
  type DirtyKey,
  type Failure,
  MigrateError,
  type NotCarried,
  PackedChange,
  PackedRecord,
  type SnapshotBatch,
  type SnapshotRecord,
  type WriteResult,
} from '@ferrite-migrate/contracts'
import {
  commandSpecOf,
  isOpaque,
  isUnknownType,
  ReplyError,
  type RespWriter,
  touchedKeys,
  writeFieldExpiry,
  writeItems,
  writeStreamEntries,
  writeStreamState,
} from '@ferrite-migrate/protocol'
import type { RedisLink } from '@ferrite-migrate/redis'
import { BatchRenderer, NOBODY, type Staged, temporaryName, type UnsupportedPolicy } from './batch-renderer.js'
import { renderChanges } from './change-renderer.js'
import { type ConnectionOptions, type Flight, LaneConnection, type ReplyErrorAt } from './lane-connection.js'
import type { Abilities } from './probe.js'
import type { RequestLimits } from './request-limits.js'
import { classify, refusalError } from './target-error.js'

export interface LaneOptions extends ConnectionOptions {
  readonly unsupported: UnsupportedPolicy
  readonly able: Abilities
  readonly clockSkewMs: number
  readonly limits: RequestLimits
  /** A connection for the few things whose reply must be looked at. */
  control(): Promise<RedisLink>
}

const FULL_RETRY_MS = 10_000
/** Losses of one batch in a row after which its size is suspected, and after which it is given up. */
const SUSPICIOUS_LOSSES = 2
const MOST_LOSSES = 20
/** No server closes a connection for less. */
const SUSPICIOUS_BYTES = 32 << 10

/** What of a batch belongs to one database. */
interface DatabasePart {
  readonly db: number
  readonly records: readonly SnapshotRecord[]
  readonly deletes: readonly DirtyKey[]
}

function byDatabase(records: readonly SnapshotRecord[], deletes: readonly DirtyKey[]): DatabasePart[] {
  const [first] = records.length > 0 ? records : deletes
  if (first === undefined) return []
  const { db } = first
  if (records.every((record) => record.db === db) && deletes.every((key) => key.db === db))
    return [{ db, records, deletes }]
  const dbs = new Set([...deletes, ...records].map((one) => one.db))
  return [...dbs].map((one) => ({
    db: one,
    records: records.filter((record) => record.db === one),
    deletes: deletes.filter((key) => key.db === one),
  }))
}

function databasesOf({ records }: ChangeBatch, checkpoint: Checkpoint | undefined): readonly number[] {
  const dbs: number[] = checkpoint === undefined ? [] : [0]
  let last = checkpoint === undefined ? -1 : 0
  for (let i = 0; i < records.length; i++) {
    const { db } = records[i]
    if (db === last) continue
    if (!dbs.includes(db)) dbs.push(db)
    last = db
  }
  return dbs
}

function changeBytes(record: ChangeRecord): number {
  return record instanceof PackedChange ? record.end - record.start : record.resp.length
}

/** Bytes of one piece of the stream that holds all of these; infinite where they are of several. */
function spanOf(records: readonly ChangeRecord[]): number {
  const first = records[0]
  const last = records.at(-1)
  return first instanceof PackedChange && last instanceof PackedChange && first.data === last.data
    ? last.end - first.start
    : Number.POSITIVE_INFINITY
}

function dirtyKeys(failures: readonly Failure[]): DirtyKey[] {
  return failures.flatMap(({ db, key }) => (key === null ? [] : [{ db, key }]))
}

class MutableResult implements WriteResult {
  written = 0
  skipped = 0
  deleted = 0
  byteLength = 0
  readonly failed: Failure[] = []
  readonly notCarried: NotCarried[] = []
}

/** One ordered way to the target. Batches are rendered and sent at once and answered in order. */
export class Lane {
  private readonly options: LaneOptions
  private readonly connection: LaneConnection
  private readonly out: RespWriter
  /** Batches wait for their turn here, so that a retry of one never overtakes another. */
  private turn: Promise<void> = Promise.resolve()
  /** Why nothing is written any more; a new lane takes over. */
  private failure: Error | null = null

  constructor(options: LaneOptions) {
    this.options = options
    this.connection = new LaneConnection(options)
    this.out = this.connection.out
  }

  async write(batch: SnapshotBatch | ChangeBatch, checkpoint: Checkpoint | undefined): Promise<WriteResult> {
    const former = this.turn
    const own = Promise.withResolvers<void>()
    this.turn = own.promise
    try {
      // The next batch may be sent as soon as this one is on its way; only trouble makes it wait.
      await former
      // What waited behind a batch that failed must not be written: its checkpoint would cover what is missing.
      if (this.failure !== null) throw this.failure
      return await (batch.kind === 'snapshot' ? this.snapshot(batch, own.resolve) : this.changes(batch, checkpoint))
    } catch (error) {
      this.failure ??= error as Error
      throw error
    } finally {
      own.resolve()
    }
  }

  close(): void {
    this.connection.close()
  }

  private async snapshot(batch: SnapshotBatch, sent: () => void): Promise<WriteResult> {
    const result = new MutableResult()
    const sliced = batch.records.filter((record) => !(record instanceof PackedRecord) && record.value.form === 'sliced')
    for (const record of sliced) await this.sliced(record, batch, result)
    const records = sliced.length > 0 ? batch.records.filter((record) => record.value.form !== 'sliced') : batch.records
    const parts = byDatabase(records, batch.deletes ?? [])
    for (const [i, part] of parts.entries())
      await this.part(part, batch, result, i === parts.length - 1 ? sent : () => undefined)
    return result
  }

  /** Writes what of a batch belongs to one database. */
  private async part(
    { db, ...part }: DatabasePart,
    batch: SnapshotBatch,
    result: MutableResult,
    sent: () => void,
  ): Promise<void> {
    let { records, deletes } = part
    let typedOnly: ReadonlySet<number> = new Set()
    const startedAt = Date.now()
    let losses = 0
    for (let wait = 50; records.length > 0 || deletes.length > 0; wait = Math.min(wait * 2, 2000)) {
      let flight: Flight | null
      const renderer = new BatchRenderer(this.options.able, this.out, this.options)
      try {
        const { made } = await this.connection.inDatabase(db, (link) => {
          try {
            renderer.deletes(deletes)
            renderer.render(records, batch.onConflict, typedOnly)
          } catch (error) {
            this.out.take()
            throw error
          }
          if (renderer.owners.length === 0) return null
          result.byteLength += this.out.at
          return this.connection.fly(link, renderer.owners.length, sent)
        })
        flight = await made
      } catch (error) {
        losses++
        this.learn(error, losses, renderer.largest)
        await this.afterLoss(error, startedAt)
        continue
      }
      if (flight === null) {
        result.skipped += renderer.expired
        result.notCarried.push(...renderer.notCarried)
        return
      }
      result.deleted += deletes.length
      deletes = []
      const again = await this.settle(db, records, batch, renderer, flight, result, losses > 0, startedAt)
      records = again.records
      typedOnly = again.typedOnly
      losses = 0
      if (again.pause) await sleep(wait)
    }
  }

  /**
   * A target that closes the connection whenever it gets this batch may not take requests of its size: the next try has
   * its largest value in pieces.
   */
  private learn(error: unknown, losses: number, largest: number): void {
    if (!(error instanceof MigrateError)) return
    const told = error.code === 'FM_TARGET_LIMIT'
    if (!told && !(error.code === 'FM_CONNECT_LOST' && losses >= SUSPICIOUS_LOSSES)) return
    if (largest >= SUSPICIOUS_BYTES && this.options.limits.learn(largest)) {
      this.options.logger.log(
        'warn',
        `${this.options.endpoint.label} seems to take requests of less than ${largest} bytes: larger values go in pieces`,
      )
      return
    }
    if (told || losses >= MOST_LOSSES)
      throw new MigrateError(
        'FM_TARGET_LIMIT',
        `${this.options.endpoint.label} closes the connection at each try to write a batch`,
        'Look into its log; proto-max-bulk-len and client-query-buffer-limit bound what it takes.',
        { cause: error },
      )
  }

  /** Sorts the answers of a snapshot batch; gives the records that must be written again. */
  private async settle(
    db: number,
    records: readonly SnapshotRecord[],
    batch: SnapshotBatch,
    renderer: BatchRenderer,
    flight: Flight,
    result: MutableResult,
    resent: boolean,
    startedAt: number,
  ): Promise<{ records: readonly SnapshotRecord[]; typedOnly: ReadonlySet<number>; pause: boolean }> {
    result.notCarried.push(...renderer.notCarried)
    const settled = new Map<number, ReplyErrorAt | null>()
    for (const error of flight.errors) {
      const owner = renderer.owners[error.index]
      if (owner === NOBODY) throw refusalError(this.options.endpoint.label, error.text)
      const indexes = owner < NOBODY ? renderer.groups[-2 - owner] : [owner]
      // Of several errors about one record the first one tells the cause (EXECABORT comes last).
      for (const index of indexes) if (!settled.has(index)) settled.set(index, error)
    }
    for (const { index, commands } of renderer.transactions)
      if (!settled.has(renderer.owners[index]) && flight.sizes?.get(index) !== commands) throw this.notExecuted()
    const skippedNow = new Set<number>()
    for (const index of flight.nils) {
      const owner = renderer.owners[index]
      // Nil tells that a key was there already; whoever was told to replace it has not done so.
      if (batch.onConflict === 'replace' || owner < NOBODY) throw this.notExecuted()
      if (owner > NOBODY) skippedNow.add(owner)
    }
    const staged = renderer.staged.filter(({ index }) => !settled.has(index))
    await this.place(db, staged, records, batch.onConflict, settled, skippedNow)
    await this.ends(
      db,
      records,
      renderer.inexact.filter((index) => !settled.has(index) && !skippedNow.has(index)),
      startedAt,
    )
    const again: SnapshotRecord[] = []
    const typedOnly = new Set<number>()
    let pause = false
    let failed = 0
    for (const [index, error] of settled) {
      const record = records[index]
      const text = error!.text
      switch (classify(text)) {
        case 'conflict':
          if (resent) break
          if (batch.onConflict === 'skip') skippedNow.add(index)
          else {
            failed++
            result.failed.push({ db: record.db, key: Buffer.from(record.key), reason: text, code: 'conflict' })
          }
          break
        case 'payload':
          if (record.value.form === 'rdb' && !isOpaque(record.value.type, record.value.rdbVersion)) {
            typedOnly.add(again.length)
            again.push(record)
          } else {
            failed++
            result.failed.push({
              db: record.db,
              key: Buffer.from(record.key),
              reason: `the target cannot read ${record.value.form === 'rdb' && isUnknownType(record.value.type, record.value.rdbVersion) ? 'a value of this type, which is not known here either' : 'a value of this module'}`,
              code: 'not-carried',
            })
          }
          break
        case 'passing':
          if (Date.now() - startedAt > this.options.retryMs) throw refusalError(this.options.endpoint.label, text)
          pause = true
          again.push(record)
          break
        case 'full':
          if (Date.now() - startedAt > FULL_RETRY_MS) throw refusalError(this.options.endpoint.label, text)
          pause = true
          again.push(record)
          break
        case 'fatal':
          throw refusalError(this.options.endpoint.label, text)
        default:
          failed++
          result.failed.push({
            db: record.db,
            key: Buffer.from(record.key),
            reason: text.slice(0, 200),
            code: 'refused',
          })
      }
    }
    if (batch.onConflict === 'fail')
      for (const index of skippedNow) {
        failed++
        result.failed.push({
          db: records[index].db,
          key: Buffer.from(records[index].key),
          reason: 'the key is already there',
          code: 'conflict',
        })
      }
    else result.skipped += skippedNow.size
    result.skipped += renderer.expired
    result.written +=
      records.length - again.length - failed - (batch.onConflict === 'fail' ? 0 : skippedNow.size) - renderer.expired
    return { records: again, typedOnly, pause }
  }

  /** Second step of staged values: from the temporary to the real name. */
  private async place(
    db: number,
    staged: readonly Staged[],
    records: readonly SnapshotRecord[],
    onConflict: ConflictPolicy,
    settled: Map<number, ReplyErrorAt | null>,
    skipped: Set<number>,
  ): Promise<void> {
    if (staged.length === 0) return
    if (onConflict !== 'replace') {
      for (const { index, temporary } of staged)
        if (!(await this.renameUnlessThere(records[index], temporary))) skipped.add(index)
      return
    }
    const owners: number[] = []
    const { made } = await this.connection.inDatabase(db, (link) => {
      for (const { index, temporary } of staged) {
        const record = records[index]
        this.out.call('RENAME', temporary, record.key)
        owners.push(index)
        if (record.expireAt > 0) {
          this.out.call('PEXPIREAT', record.key, record.expireAt)
          owners.push(index)
        }
      }
      return this.connection.fly(link, owners.length)
    })
    const flight = await made
    for (const error of flight.errors) {
      const owner = owners[error.index]
      if (!settled.has(owner)) settled.set(owner, error)
    }
  }

  /** Tells the ends of keys that were written only because they were not there, and are now known to be ours. */
  private async ends(
    db: number,
    records: readonly SnapshotRecord[],
    indexes: readonly number[],
    startedAt: number,
  ): Promise<void> {
    while (indexes.length > 0) {
      let flight: Flight
      try {
        const { made } = await this.connection.inDatabase(db, (link) => {
          const renderer = new BatchRenderer(this.options.able, this.out, this.options)
          for (const index of indexes) renderer.end(records[index], index)
          return this.connection.fly(link, renderer.owners.length)
        })
        flight = await made
      } catch (error) {
        await this.afterLoss(error, startedAt)
        continue
      }
      if (flight.errors.length > 0) throw refusalError(this.options.endpoint.label, flight.errors[0].text)
      return
    }
  }

  /** False when the key was there already; the temporary value is then removed. */
  private async renameUnlessThere(record: SnapshotRecord, temporary: string): Promise<boolean> {
    const link = await this.options.control()
    const [renamed] = await link.pipeline((out) => {
      out.call('RENAMENX', temporary, record.key)
      out.call('DEL', temporary)
      return 2
    }, record.db)
    if (renamed instanceof ReplyError) throw refusalError(this.options.endpoint.label, renamed.message)
    if (renamed === 1 && record.expireAt > 0)
      await link.pipeline((out) => {
        out.call('PEXPIREAT', record.key, record.expireAt)
        return 1
      }, record.db)
    return renamed === 1
  }

  /** A value above the size limit: slice by slice under a temporary name, then renamed. */
  private async sliced(record: SnapshotRecord, batch: SnapshotBatch, result: MutableResult): Promise<void> {
    const { value } = record
    if (value.form !== 'sliced') return
    const { able, endpoint, limits } = this.options
    const temporary = temporaryName(this.options.migration)
    const name = Buffer.from(temporary)
    const now = Date.now() + this.options.clockSkewMs
    let lastEntry: string | undefined
    let lostFieldExpiry = false
    const step = async (build: () => number): Promise<void> => {
      const { made } = await this.connection.inDatabase(record.db, (link) => {
        const replies = build()
        result.byteLength += this.out.at
        return replies === 0 ? null : this.connection.fly(link, replies)
      })
      const error = (await made)?.errors[0]
      if (error === undefined) return
      await this.connection
        .inDatabase(record.db, (link) => {
          this.out.call('DEL', name)
          return this.connection.fly(link, 1)
        })
        .then((cleaned) => cleaned.made)
        .catch(() => undefined)
      throw refusalError(endpoint.label, error.text)
    }
    for await (const slice of value.slices)
      await step(() => {
        if (slice.entries !== undefined) {
          lastEntry = slice.entries.at(-1)?.id ?? lastEntry
          return writeStreamEntries(this.out, name, slice.entries)
        }
        if (slice.stream !== undefined) return writeStreamState(this.out, name, slice.stream, lastEntry, able)
        if (value.type === 'stream' || slice.items.length === 0) return 0
        const items = {
          form: 'items',
          type: value.type,
          items: slice.items,
          ...(slice.fieldExpireAt ? { fieldExpireAt: slice.fieldExpireAt } : {}),
        } as const
        const replies = writeItems(this.out, name, items, limits.piece)
        if (!slice.fieldExpireAt?.some((at) => at > 0)) return replies
        if (able.fieldExpiry) return replies + writeFieldExpiry(this.out, name, items)
        lostFieldExpiry = true
        return replies
      })
    if (lostFieldExpiry) result.notCarried.push({ what: 'hash-field-ttl', db: record.db, key: Buffer.from(record.key) })
    if (record.expireAt > 0 && record.expireAt <= now) {
      await step(() => {
        this.out.call('DEL', name)
        return 1
      })
      result.skipped++
      return
    }
    if (batch.onConflict !== 'replace') {
      if (await this.renameUnlessThere(record, temporary)) result.written++
      else if (batch.onConflict === 'skip') result.skipped++
      else
        result.failed.push({
          db: record.db,
          key: Buffer.from(record.key),
          reason: 'the key is already there',
          code: 'conflict',
        })
      return
    }
    await step(() => {
      let replies = 1
      if (record.expireAt > 0) {
        this.out.call('PEXPIREAT', name, record.expireAt)
        replies++
      }
      this.out.call('RENAME', name, record.key)
      if (record.expireAt > 0 && !able.atomicMulti) {
        this.out.call('PEXPIREAT', record.key, record.expireAt)
        replies++
      }
      return replies
    })
    result.written++
  }

  /** One batch of changes is under way at a time: a refused one must never be followed by one that was taken. */
  private async changes(given: ChangeBatch, givenCheckpoint: Checkpoint | undefined): Promise<WriteResult> {
    const startedAt = Date.now()
    const result = new MutableResult()
    if (!this.options.able.atomicMulti) return this.plainChanges(given, result)
    let batch = this.withoutLarge(given, result)
    let checkpoint = givenCheckpoint && {
      ...givenCheckpoint,
      dirty: [...givenCheckpoint.dirty, ...dirtyKeys(result.failed)],
    }
    // Inside MULTI nobody waits for a SELECT: that each database is there has to be known before.
    for (const db of databasesOf(batch, checkpoint)) if (!this.options.isProven(db)) await this.options.prove(db)
    for (let wait = 50; ; wait = Math.min(wait * 2, 2000)) {
      const link = await this.connection.connect()
      const places: number[] = []
      const replies = renderChanges(this.out, link, batch, checkpoint, places)
      if (replies === 0) return result
      result.byteLength += this.out.at
      // A loss here is not repeated: whether EXEC ran is in the checkpoint, which the engine asks.
      const flight = await this.connection.fly(link, replies).catch((error) => {
        const largest = batch.records.reduce((most, record) => Math.max(most, changeBytes(record)), 0)
        this.learn(error, ++this.options.limits.changeLosses, largest)
        throw this.lost(error)
      })
      this.options.limits.changeLosses = 0
      const refused = flight.errors.filter((error) => error.inner < 0 && !error.text.startsWith('EXECABORT'))
      if (refused.length === 0) {
        if (batch.records.length > 0 && flight.sizes?.get(replies - 1) !== places.length) throw this.notExecuted()
        const before = result.failed.length
        this.sortInner(batch, places, flight, result)
        result.written = batch.records.length - (result.failed.length - before)
        return result
      }
      // Nothing of the batch was done: EXEC refuses all when one command was refused. SELECT neither.
      link.assumeSelected(-1)
      const { text } = refused[0]
      const kind = classify(text)
      if (kind === 'key') {
        // A form of a command that this server does not have: without it, its keys are read again instead.
        const without = new Map(refused.map((error) => [places[error.index - 1] ?? NOBODY, error.text]))
        if (without.has(NOBODY))
          throw new MigrateError(
            'FM_TARGET_REFUSED',
            `${this.options.endpoint.label} refused a change: ${text.slice(0, 160)}`,
            'Try --apply state.',
          )
        const before = result.failed.length
        for (const [index, reason] of without) this.fail(batch.records[index], reason, result)
        const dirty = dirtyKeys(result.failed.slice(before))
        batch = { ...batch, records: batch.records.filter((_, index) => !without.has(index)) }
        checkpoint = checkpoint && { ...checkpoint, dirty: [...checkpoint.dirty, ...dirty] }
        continue
      }
      const limit = kind === 'passing' ? this.options.retryMs : kind === 'full' ? FULL_RETRY_MS : 0
      if (Date.now() - startedAt >= limit) throw refusalError(this.options.endpoint.label, text)
      await sleep(wait)
    }
  }

  /** Commands that the target does not take in one request: their keys are read again, and written in pieces. */
  private withoutLarge(batch: ChangeBatch, result: MutableResult): ChangeBatch {
    const most = this.options.limits.change
    if (spanOf(batch.records) <= most || !batch.records.some((record) => changeBytes(record) > most)) return batch
    for (const record of batch.records)
      if (changeBytes(record) > most) this.fail(record, 'larger than the requests that the target takes', result)
    return { ...batch, records: batch.records.filter((record) => changeBytes(record) <= most) }
  }

  /** Changes of a target without whole transactions: commands that may be done twice, each in its database. */
  private async plainChanges(batch: ChangeBatch, result: MutableResult): Promise<WriteResult> {
    for (let from = 0; from < batch.records.length; ) {
      const { db } = batch.records[from]
      let to = from
      while (to < batch.records.length && batch.records[to].db === db) to++
      const records = batch.records.slice(from, to)
      const { made } = await this.connection.inDatabase(db, (link) => {
        for (const record of records) this.out.raw(record.resp)
        result.byteLength += this.out.at
        return this.connection.fly(link, records.length)
      })
      const flight = await made.catch((error) => {
        throw this.lost(error)
      })
      for (const error of flight.errors) this.fail(records[error.index], error.text, result)
      from = to
    }
    result.written = batch.records.length - result.failed.length
    return result
  }

  private notExecuted(): MigrateError {
    return new MigrateError(
      'FM_TARGET_NOT_EXECUTED',
      `${this.options.endpoint.label} answered a write with nothing: it was not done`,
      'What is between here and the target (a proxy?) does not run what it is told; go on with --resume when it does.',
    )
  }

  private lost(error: unknown): unknown {
    if (!(error instanceof MigrateError) || !error.retryable || this.connection.closed) return error
    return new MigrateError(
      'FM_TARGET_LOST',
      `${error.message}, with changes under way`,
      'The migration goes on from the checkpoint at the target.',
      { retryable: true, cause: error },
    )
  }

  /** Errors of single commands inside EXEC, by the keys of the command they belong to. */
  private sortInner(batch: ChangeBatch, places: readonly number[], flight: Flight, result: MutableResult): void {
    for (const error of flight.errors) {
      if (error.inner < 0) continue
      const record = batch.records[places[error.inner]]
      // What is ours inside the transaction: SELECT and the checkpoint. Nothing may be built upon a failure of these.
      if (record === undefined) throw refusalError(this.options.endpoint.label, error.text)
      this.fail(record, error.text, result)
    }
  }

  private fail(record: ChangeRecord, reason: string, result: MutableResult): void {
    const touched = touchedKeys(commandSpecOf(record.name), record.argv, record.db)
    const text = `${record.name}: ${reason.slice(0, 160)}`
    if (touched.length === 0) result.failed.push({ db: record.db, key: null, reason: text, code: 'refused' })
    for (const { db, key } of touched) result.failed.push({ db, key: Buffer.from(key), reason: text, code: 'refused' })
  }

  private async afterLoss(error: unknown, startedAt: number): Promise<void> {
    if (
      !(error instanceof MigrateError) ||
      !error.retryable ||
      error.code === 'FM_TARGET_LOST' ||
      this.connection.closed
    )
      throw error
    if (Date.now() - startedAt > this.options.retryMs || this.options.signal.aborted) throw error
    this.options.logger.log('warn', `${error.message}; sending the batch again`)
    await sleep(100)
  }
}
