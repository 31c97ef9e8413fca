import type { PackedChange } from '@ferrite-migrate/contracts'
import { type AofReader, absoluteExpiry, commandSpecOf, type RdbReader } from '@ferrite-migrate/protocol'

/** Counts what append-only files hold, part after part. */
export class AofCensus {
  readonly counts = new Map<string, number>()
  readonly databases = new Set<number>()
  rdbKeys = 0
  /** ms; null = no RDB has told it. */
  baseTime: number | null = null
  relativeExpiries = 0
  /** First and last time mark, ms. */
  firstMark: number | null = null
  lastMark: number | null = null
  private readonly signal: AbortSignal

  constructor(signal: AbortSignal) {
    this.signal = signal
  }

  /** Counts the keys of an RDB part; the time of the first one is that of all. */
  async addRdb(reader: RdbReader, first: boolean): Promise<void> {
    for await (const event of reader.read()) {
      if (this.signal.aborted) break
      if (event.kind === 'aux' && event.name === 'ctime' && first)
        this.baseTime = Number(event.value.toString('latin1')) * 1000 || null
      if (event.kind !== 'records') continue
      for (const record of event.records) {
        this.rdbKeys++
        this.databases.add(record.db)
        if (record.value.form === 'sliced') for await (const _ of record.value.slices);
      }
      event.block.release()
    }
  }

  /** Counts commands; gives their number. */
  async addCommands(reader: AofReader): Promise<number> {
    let commands = 0
    for await (const batch of reader.read()) {
      for (const record of batch.records) {
        const { name, db } = record
        this.counts.set(name, (this.counts.get(name) ?? 0) + 1)
        this.databases.add(db)
        if (countsFromUnknown(record)) this.relativeExpiries++
      }
      commands += batch.records.length
      if (batch.time > 0) {
        this.firstMark ??= batch.time
        this.lastMark = batch.time
      }
      batch.release()
      if (this.signal.aborted) break
    }
    return commands
  }
}

/** True for a time to live from a moment that nothing tells. */
function countsFromUnknown(record: PackedChange): boolean {
  const { name, data, start, receivedAt } = record
  if (receivedAt > 0 || !commandSpecOf(name).relativeExpiry) return false
  // `*3`: the most common SET has none.
  if (name === 'SET' && data[start + 1] === 51 && data[start + 2] === 13) return false
  return absoluteExpiry(name, record.argv, 1) !== null
}
