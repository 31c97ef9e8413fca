import { setTimeout as sleep } from 'node:timers/promises'
import {
  type ChangeBatch,
  type ChangeRecord,
  type Checkpoint,
  type DirtyKey,
  MigrateError,
  PackedChange,
} from '@ferrite-migrate/contracts'
import { commandSpecOf, touchedKeys } from '@ferrite-migrate/protocol'
import type { RedisLink } from '@ferrite-migrate/redis'
import { renderChanges } from './change-renderer.js'
import type { Flight, ReplyErrorAt } from './lane-connection.js'
import type { LaneTools } from './lane-tools.js'
import { NOBODY } from './rendered-batch.js'
import { classify, notExecutedError, patienceMs, refusalError } from './target-error.js'
import { WriteTally } from './write-tally.js'

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

function withDirty(checkpoint: Checkpoint | undefined, dirty: readonly DirtyKey[]): Checkpoint | undefined {
  return checkpoint && { ...checkpoint, dirty: [...checkpoint.dirty, ...dirty] }
}

/** Writes batches of changes, each with its checkpoint in one transaction where the target has them. */
export class ChangeWrites {
  private readonly lane: LaneTools

  constructor(lane: LaneTools) {
    this.lane = lane
  }

  /** One batch of changes is under way at a time: a refused one must never be followed by one that was taken. */
  async write(given: ChangeBatch, givenCheckpoint: Checkpoint | undefined): Promise<WriteTally> {
    const { options, connection } = this.lane
    const startedAt = Date.now()
    const tally = new WriteTally()
    if (!options.able.atomicMulti) return this.plain(given, tally)
    let batch = this.withoutLarge(given, tally)
    let checkpoint = withDirty(givenCheckpoint, tally.dirtyKeys())
    // Inside MULTI nobody waits for a SELECT: that each database is there has to be known before.
    for (const db of databasesOf(batch, checkpoint)) if (!options.isProven(db)) await options.prove(db)
    for (let wait = 50; ; wait = Math.min(wait * 2, 2000)) {
      const link = await connection.connect()
      const places: number[] = []
      const replies = renderChanges(connection.out, link, batch, checkpoint, places)
      if (replies === 0) return tally
      tally.byteLength += connection.out.at
      const flight = await this.fly(link, replies, batch)
      const refused = flight.errors.filter((error) => error.inner < 0 && !error.text.startsWith('EXECABORT'))
      if (refused.length === 0) {
        this.settle(batch, places, flight, replies, tally)
        return tally
      }
      // Nothing of the batch was done: EXEC refuses all when one command was refused. SELECT neither.
      link.assumeSelected(-1)
      const { text } = refused[0]
      const kind = classify(text)
      if (kind === 'key') {
        const before = tally.failed.length
        batch = this.withoutRefused(batch, places, refused, tally)
        checkpoint = withDirty(checkpoint, tally.dirtyKeys(before))
        continue
      }
      if (Date.now() - startedAt >= patienceMs(kind, options.retryMs)) throw refusalError(options.endpoint, text)
      await sleep(wait)
    }
  }

  /** A loss here is not repeated: whether EXEC ran is in the checkpoint, which the engine asks. */
  private async fly(link: RedisLink, replies: number, { records }: ChangeBatch): Promise<Flight> {
    const { limits } = this.lane.options
    const flight = await this.lane.connection.fly(link, replies).catch((error) => {
      const largest = records.reduce((most, record) => Math.max(most, changeBytes(record)), 0)
      this.lane.losses.learn(error, ++limits.changeLosses, largest)
      throw this.lane.losses.ofChanges(error)
    })
    limits.changeLosses = 0
    return flight
  }

  /** Counts what a transaction that ran has done. */
  private settle(
    { records }: ChangeBatch,
    places: readonly number[],
    flight: Flight,
    replies: number,
    tally: WriteTally,
  ): void {
    const { label } = this.lane.options.endpoint
    if (records.length > 0 && flight.sizes?.get(replies - 1) !== places.length) throw notExecutedError(label)
    const before = tally.failed.length
    // Errors of single commands inside EXEC, by the keys of the command they belong to.
    for (const error of flight.errors) {
      if (error.inner < 0) continue
      const record = records[places[error.inner]]
      // What is ours inside the transaction: SELECT and the checkpoint. Nothing may be built upon a failure of these.
      if (record === undefined) throw refusalError(this.lane.options.endpoint, error.text)
      this.fail(record, error.text, tally)
    }
    tally.written = records.length - (tally.failed.length - before)
  }

  /** A form of a command that this server does not have: without it, its keys are read again instead. */
  private withoutRefused(
    batch: ChangeBatch,
    places: readonly number[],
    refused: readonly ReplyErrorAt[],
    tally: WriteTally,
  ): ChangeBatch {
    const without = new Map(refused.map((error) => [places[error.index - 1] ?? NOBODY, error.text]))
    if (without.has(NOBODY))
      throw new MigrateError(
        'FM_TARGET_REFUSED',
        `${this.lane.options.endpoint.label} refused a change: ${refused[0].text.slice(0, 160)}`,
        'Try --apply state.',
      )
    for (const [index, reason] of without) this.fail(batch.records[index], reason, tally)
    return { ...batch, records: batch.records.filter((_, index) => !without.has(index)) }
  }

  /** Commands that the target does not take in one request: their keys are read again, and written in pieces. */
  private withoutLarge(batch: ChangeBatch, tally: WriteTally): ChangeBatch {
    const most = this.lane.options.limits.change
    if (spanOf(batch.records) <= most || !batch.records.some((record) => changeBytes(record) > most)) return batch
    for (const record of batch.records)
      if (changeBytes(record) > most) this.fail(record, 'larger than the requests that the target takes', tally)
    return { ...batch, records: batch.records.filter((record) => changeBytes(record) <= most) }
  }

  /** Changes of a target without whole transactions: commands that may be done twice, each in its database. */
  private async plain(batch: ChangeBatch, tally: WriteTally): Promise<WriteTally> {
    const { connection, losses } = this.lane
    for (let from = 0; from < batch.records.length; ) {
      const { db } = batch.records[from]
      let to = from
      while (to < batch.records.length && batch.records[to].db === db) to++
      const records = batch.records.slice(from, to)
      const { made } = await connection.inDatabase(db, (link) => {
        for (const record of records) connection.out.raw(record.resp)
        tally.byteLength += connection.out.at
        return connection.fly(link, records.length)
      })
      const flight = await made.catch((error) => {
        throw losses.ofChanges(error)
      })
      for (const error of flight.errors) this.fail(records[error.index], error.text, tally)
      from = to
    }
    tally.written = batch.records.length - tally.failed.length
    return tally
  }

  private fail(record: ChangeRecord, reason: string, tally: WriteTally): void {
    const touched = touchedKeys(commandSpecOf(record.name), record.argv, record.db)
    const text = `${record.name}: ${reason.slice(0, 160)}`
    if (touched.length === 0) tally.failed.push({ db: record.db, key: null, reason: text, code: 'refused' })
    for (const { db, key } of touched) tally.failed.push({ db, key: Buffer.from(key), reason: text, code: 'refused' })
  }
}
