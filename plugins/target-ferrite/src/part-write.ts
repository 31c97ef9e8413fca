import { setTimeout as sleep } from 'node:timers/promises'
import type { ConflictPolicy, DirtyKey, SnapshotRecord } from '@ferrite-migrate/contracts'
import { type BatchAnswers, readAnswers } from './batch-answers.js'
import { renderRecords } from './batch-renderer.js'
import type { DatabasePart } from './database-part.js'
import type { Flight } from './lane-connection.js'
import type { LaneTools } from './lane-tools.js'
import { RenderedBatch } from './rendered-batch.js'
import { Settlement } from './settlement.js'
import { refusalError } from './target-error.js'
import type { WriteTally } from './write-tally.js'

/** What of a batch belongs to one database, sent until each record has its answer. */
export class PartWrite {
  private readonly lane: LaneTools
  private readonly db: number
  private records: readonly SnapshotRecord[]
  private deletes: readonly DirtyKey[]
  private readonly onConflict: ConflictPolicy
  private readonly tally: WriteTally
  /** Indexes of records whose payload the target refused. */
  private typedOnly: ReadonlySet<number> = new Set()
  private readonly startedAt = Date.now()

  constructor(lane: LaneTools, { db, records, deletes }: DatabasePart, onConflict: ConflictPolicy, tally: WriteTally) {
    this.lane = lane
    this.db = db
    this.records = records
    this.deletes = deletes
    this.onConflict = onConflict
    this.tally = tally
  }

  /** @param sent called each time that all of it is on its way */
  async write(sent: () => void): Promise<void> {
    const { options, connection, losses } = this.lane
    let lost = 0
    for (let wait = 50; this.records.length > 0 || this.deletes.length > 0; wait = Math.min(wait * 2, 2000)) {
      const rendered = new RenderedBatch(options.able, connection.out, options)
      let flight: Flight | null
      try {
        flight = await this.send(rendered, sent)
      } catch (error) {
        lost++
        losses.learn(error, lost, rendered.largest)
        await losses.pause(error, this.startedAt)
        continue
      }
      this.tally.notCarried.push(...rendered.notCarried)
      if (flight === null) {
        this.tally.skipped += rendered.expired
        return
      }
      this.tally.deleted += this.deletes.length
      this.deletes = []
      const answers = await this.answers(rendered, flight)
      const pause = this.settle(answers, rendered.expired - rendered.unsure(answers.refused), lost > 0)
      lost = 0
      if (pause) await sleep(wait)
    }
  }

  /** Null when there was nothing to send. */
  private async send(rendered: RenderedBatch, sent: () => void): Promise<Flight | null> {
    const { connection } = this.lane
    const { made } = await connection.inDatabase(this.db, (link) => {
      try {
        rendered.deletes(this.deletes)
        renderRecords(rendered, this.records, this.onConflict, this.typedOnly)
      } catch (error) {
        connection.out.take()
        throw error
      }
      if (rendered.owners.length === 0) return null
      this.tally.byteLength += connection.out.at
      return connection.fly(link, rendered.owners.length, sent)
    })
    return made
  }

  /** What the records were answered, also in the steps that some need after the first. */
  private async answers(rendered: RenderedBatch, flight: Flight): Promise<BatchAnswers> {
    const { db, records, onConflict } = this
    const answers = readAnswers(rendered, flight, onConflict, this.lane.options.endpoint)
    await this.lane.staged.place(db, rendered.staged, records, onConflict, answers)
    await this.ends(rendered.inexact.filter((index) => answers.took(index)))
    return answers
  }

  /** Tells the ends of keys that were written only because they were not there, and are now known to be ours. */
  private async ends(indexes: readonly number[]): Promise<void> {
    const { options, connection, losses } = this.lane
    while (indexes.length > 0) {
      let flight: Flight
      try {
        const { made } = await connection.inDatabase(this.db, (link) => {
          const rendered = new RenderedBatch(options.able, connection.out, options)
          for (const index of indexes) rendered.end(this.records[index], index)
          return connection.fly(link, rendered.owners.length)
        })
        flight = await made
      } catch (error) {
        await losses.pause(error, this.startedAt)
        continue
      }
      if (flight.errors.length > 0) throw refusalError(options.endpoint, flight.errors[0].text)
      return
    }
  }

  /** Counts what was done; keeps what must be written again. True when that should wait. */
  private settle(answers: BatchAnswers, expired: number, resent: boolean): boolean {
    const { endpoint, retryMs, ofCluster = false } = this.lane.options
    const { onConflict, startedAt } = this
    const settlement = new Settlement({ endpoint, onConflict, resent, startedAt, retryMs, ofCluster }, this.tally)
    settlement.settle(this.records, answers, expired)
    this.records = settlement.again
    this.typedOnly = settlement.typedOnly
    return settlement.pause
  }
}
