import { setTimeout as sleep } from 'node:timers/promises'
import {
  type ChangeBatch,
  type ChangeRecord,
  type Checkpoint,
  type ConflictPolicy,
  type Failure,
  MigrateError,
  type NotCarried,
  type SnapshotBatch,
  type SnapshotRecord,
  type WriteResult,
} from '@ferrite-migrate/contracts'
import {
  commandSpecOf,
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
import { classify, refusalError } from './target-error.js'

export interface LaneOptions extends ConnectionOptions {
  readonly unsupported: UnsupportedPolicy
  readonly able: Abilities
  readonly clockSkewMs: number
  /** A connection for the few things whose reply must be looked at. */
  control(): Promise<RedisLink>
}

const FULL_RETRY_MS = 10_000

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
      return await (batch.kind === 'snapshot' ? this.snapshot(batch, own.resolve) : this.changes(batch, checkpoint))
    } finally {
      own.resolve()
    }
  }

  close(): void {
    this.connection.close()
  }

  private async snapshot(batch: SnapshotBatch, sent: () => void): Promise<WriteResult> {
    const result = new MutableResult()
    const sliced = batch.records.filter((record) => record.value.form === 'sliced')
    for (const record of sliced) await this.sliced(record, batch, result)
    let records: readonly SnapshotRecord[] =
      sliced.length > 0 ? batch.records.filter((record) => record.value.form !== 'sliced') : batch.records
    let deletes = batch.deletes ?? []
    let typedOnly: ReadonlySet<number> = new Set()
    const startedAt = Date.now()
    let resent = false
    for (let wait = 50; records.length > 0 || deletes.length > 0; wait = Math.min(wait * 2, 2000)) {
      let flight: Flight
      let renderer: BatchRenderer
      try {
        const link = await this.connection.connect()
        renderer = new BatchRenderer(this.options.able, this.out, link.selected, this.options)
        renderer.deletes(deletes)
        renderer.render(records, batch.onConflict, typedOnly)
        if (renderer.owners.length === 0) {
          result.skipped += renderer.expired
          result.notCarried.push(...renderer.notCarried)
          return result
        }
        link.assumeSelected(renderer.selected)
        result.byteLength += this.out.at
        flight = await this.connection.fly(link, renderer.owners.length, sent)
      } catch (error) {
        this.out.take()
        await this.afterLoss(error, startedAt)
        resent = true
        continue
      }
      result.deleted += deletes.length
      deletes = []
      const again = await this.settle(records, batch, renderer, flight, result, resent, startedAt)
      records = again.records
      typedOnly = again.typedOnly
      resent = false
      if (again.pause) await sleep(wait)
    }
    return result
  }

  /** Sorts the answers of a snapshot batch; gives the records that must be written again. */
  private async settle(
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
    const skippedNow = new Set<number>()
    if (batch.onConflict !== 'replace')
      for (const index of flight.nils) {
        const owner = renderer.owners[index]
        if (owner > NOBODY) skippedNow.add(owner)
      }
    const staged = renderer.staged.filter(({ index }) => !settled.has(index))
    await this.place(staged, records, batch.onConflict, settled, skippedNow)
    await this.ends(
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
          if (record.value.form === 'rdb' && record.value.type !== 7) {
            typedOnly.add(again.length)
            again.push(record)
          } else {
            failed++
            result.failed.push({
              db: record.db,
              key: Buffer.from(record.key),
              reason: 'the target cannot read a value of this module',
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
    const link = await this.connection.connect()
    const owners: number[] = []
    let db = link.selected
    for (const { index, temporary } of staged) {
      const record = records[index]
      if (record.db !== db) {
        this.out.call('SELECT', record.db)
        owners.push(NOBODY)
        db = record.db
      }
      this.out.call('RENAME', temporary, record.key)
      owners.push(index)
      if (record.expireAt > 0) {
        this.out.call('PEXPIREAT', record.key, record.expireAt)
        owners.push(index)
      }
    }
    link.assumeSelected(db)
    const flight = await this.connection.fly(link, owners.length)
    for (const error of flight.errors) {
      const owner = owners[error.index]
      if (owner !== NOBODY && !settled.has(owner)) settled.set(owner, error)
    }
  }

  /** Tells the ends of keys that were written only because they were not there, and are now known to be ours. */
  private async ends(records: readonly SnapshotRecord[], indexes: readonly number[], startedAt: number): Promise<void> {
    while (indexes.length > 0) {
      let flight: Flight
      try {
        const link = await this.connection.connect()
        const renderer = new BatchRenderer(this.options.able, this.out, link.selected, this.options)
        for (const index of indexes) renderer.end(records[index], index)
        link.assumeSelected(renderer.selected)
        flight = await this.connection.fly(link, renderer.owners.length)
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
    const { able, endpoint } = this.options
    const link = await this.connection.connect()
    const temporary = temporaryName(this.options.migration)
    const name = Buffer.from(temporary)
    const now = Date.now() + this.options.clockSkewMs
    let lastEntry: string | undefined
    let lostFieldExpiry = false
    const step = async (replies: number): Promise<void> => {
      result.byteLength += this.out.at
      const flight = await this.connection.fly(link, replies)
      const error = flight.errors[0]
      if (error !== undefined) {
        this.out.call('DEL', name)
        await this.connection.fly(link, 1).catch(() => undefined)
        throw refusalError(endpoint.label, error.text)
      }
    }
    let replies = 0
    if (record.db !== link.selected) {
      this.out.call('SELECT', record.db)
      link.assumeSelected(record.db)
      replies++
    }
    for await (const slice of value.slices) {
      if (slice.entries !== undefined) {
        replies += writeStreamEntries(this.out, name, slice.entries)
        lastEntry = slice.entries.at(-1)?.id ?? lastEntry
      } else if (slice.stream !== undefined) replies += writeStreamState(this.out, name, slice.stream, lastEntry, able)
      else if (value.type !== 'stream' && slice.items.length > 0) {
        const items = {
          form: 'items',
          type: value.type,
          items: slice.items,
          ...(slice.fieldExpireAt ? { fieldExpireAt: slice.fieldExpireAt } : {}),
        } as const
        replies += writeItems(this.out, name, items)
        if (slice.fieldExpireAt?.some((at) => at > 0)) {
          if (able.fieldExpiry) replies += writeFieldExpiry(this.out, name, items)
          else lostFieldExpiry = true
        }
      }
      if (replies > 0) await step(replies)
      replies = 0
    }
    if (lostFieldExpiry) result.notCarried.push({ what: 'hash-field-ttl', db: record.db, key: Buffer.from(record.key) })
    if (record.expireAt > 0 && record.expireAt <= now) {
      this.out.call('DEL', name)
      await step(1)
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
    if (record.expireAt > 0) {
      this.out.call('PEXPIREAT', name, record.expireAt)
      replies++
    }
    this.out.call('RENAME', name, record.key)
    replies++
    if (record.expireAt > 0 && !able.atomicMulti) {
      this.out.call('PEXPIREAT', record.key, record.expireAt)
      replies++
    }
    await step(replies)
    result.written++
  }

  /** One batch of changes is under way at a time: a refused one must never be followed by one that was taken. */
  private async changes(given: ChangeBatch, givenCheckpoint: Checkpoint | undefined): Promise<WriteResult> {
    const startedAt = Date.now()
    const result = new MutableResult()
    let batch = given
    let checkpoint = givenCheckpoint
    for (let wait = 50; ; wait = Math.min(wait * 2, 2000)) {
      const link = await this.connection.connect()
      const places: number[] = []
      const replies = renderChanges(this.out, link, batch, checkpoint, places)
      if (replies === 0) return result
      result.byteLength += this.out.at
      // A loss here is not repeated: whether EXEC ran is in the checkpoint, which the engine asks.
      const flight = await this.connection.fly(link, replies).catch((error) => {
        throw this.lost(error)
      })
      const refused = flight.errors.filter((error) => error.inner < 0 && !error.text.startsWith('EXECABORT'))
      if (refused.length === 0) {
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
        const dirty = result.failed.slice(before).flatMap(({ db, key }) => (key === null ? [] : [{ db, key }]))
        batch = { ...batch, records: batch.records.filter((_, index) => !without.has(index)) }
        checkpoint = checkpoint && { ...checkpoint, dirty: [...checkpoint.dirty, ...dirty] }
        continue
      }
      const limit = kind === 'passing' ? this.options.retryMs : kind === 'full' ? FULL_RETRY_MS : 0
      if (Date.now() - startedAt >= limit) throw refusalError(this.options.endpoint.label, text)
      await sleep(wait)
    }
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
      const record = error.inner < 0 ? undefined : batch.records[places[error.inner]]
      if (record !== undefined) this.fail(record, error.text, result)
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
