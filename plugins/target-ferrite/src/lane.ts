import { type ChangeBatch, type Checkpoint, PackedRecord, type SnapshotBatch } from '@ferrite-migrate/contracts'
import { ChangeWrites } from './change-writes.js'
import { byDatabase } from './database-part.js'
import { LaneConnection } from './lane-connection.js'
import { LaneLosses } from './lane-losses.js'
import type { LaneOptions } from './lane-options.js'
import type { LaneTools } from './lane-tools.js'
import { PartWrite } from './part-write.js'
import { SlicedWrite } from './sliced-write.js'
import { StagedValues } from './staged-values.js'
import { WriteTally } from './write-tally.js'

/** One ordered way to the target. Batches are rendered and sent at once and answered in order. */
export class Lane {
  readonly tools: LaneTools
  private readonly changes: ChangeWrites
  /** Batches wait for their turn here, so that a retry of one never overtakes another. */
  private turn: Promise<void> = Promise.resolve()
  /** Why nothing is written any more; a new lane takes over. */
  private failure: Error | null = null

  constructor(options: LaneOptions, redirect?: LaneTools['redirect']) {
    const connection = new LaneConnection(options)
    this.tools = {
      options,
      connection,
      losses: new LaneLosses(options, connection),
      staged: new StagedValues(options, connection),
      ...(redirect === undefined ? {} : { redirect }),
    }
    this.changes = new ChangeWrites(this.tools)
  }

  async write(batch: SnapshotBatch | ChangeBatch, checkpoint?: Checkpoint): Promise<WriteTally> {
    const former = this.turn
    const own = Promise.withResolvers<void>()
    this.turn = own.promise
    try {
      // The next batch may be sent as soon as this one is on its way; only trouble makes it wait.
      await former
      // What waited behind a batch that failed must not be written: its checkpoint would cover what is missing.
      if (this.failure !== null) throw this.failure
      return await (batch.kind === 'snapshot'
        ? this.snapshot(batch, own.resolve)
        : this.changes.write(batch, checkpoint))
    } catch (error) {
      this.failure ??= error as Error
      throw error
    } finally {
      own.resolve()
    }
  }

  close(): void {
    this.tools.connection.close()
  }

  private async snapshot(batch: SnapshotBatch, sent: () => void): Promise<WriteTally> {
    const { onConflict } = batch
    const tally = new WriteTally()
    let sliced = 0
    for (const record of batch.records) {
      if (record instanceof PackedRecord || record.value.form !== 'sliced') continue
      sliced++
      await new SlicedWrite(this.tools, record, tally).write(record.value, onConflict)
    }
    const records = sliced > 0 ? batch.records.filter((record) => record.value.form !== 'sliced') : batch.records
    const parts = byDatabase(records, batch.deletes ?? [])
    for (const [i, part] of parts.entries())
      await new PartWrite(this.tools, part, onConflict, tally).write(i === parts.length - 1 ? sent : () => undefined)
    return tally
  }
}
