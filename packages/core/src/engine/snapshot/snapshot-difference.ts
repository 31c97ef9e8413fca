import type { KeyReader, SnapshotRecord, Target } from '@ferrite-migrate/contracts'
import type { KnownValues } from '../../records/known-values.js'
import { sameValue } from '../../records/value-equality.js'

/** Leaves out of a snapshot what the target already holds, so that a copy that starts over sends only what differs. */
export class SnapshotDifference {
  /** Records that were right already. */
  equal = 0
  /** Records that were not. */
  different = 0
  private readonly reader: KeyReader
  private readonly fieldExpiry: boolean
  private readonly known: KnownValues | null

  /** @param known all that it holds; null = it is asked for each key */
  constructor(target: Target, known: KnownValues | null = null) {
    this.known = known
    this.reader = target.reader()
    this.fieldExpiry = target.dialect.holds?.fieldExpiry ?? true
  }

  /** The records that differ. They must stay valid until this resolves. */
  async of(records: readonly SnapshotRecord[]): Promise<SnapshotRecord[]> {
    const { known } = this
    const differing = known === null ? await this.ask(records) : await this.look(records, known)
    this.different += differing.length
    this.equal += records.length - differing.length
    return differing
  }

  /** Asks only for what may be the same in another form. */
  private async look(records: readonly SnapshotRecord[], known: KnownValues): Promise<SnapshotRecord[]> {
    const differing: SnapshotRecord[] = []
    const unsure: SnapshotRecord[] = []
    for (const record of records) {
      const has = known.has(record)
      if (has === 'no') differing.push(record)
      else if (has === 'perhaps') unsure.push(record)
    }
    if (unsure.length > 0) for (const record of await this.ask(unsure)) differing.push(record)
    return differing
  }

  private async ask(records: readonly SnapshotRecord[]): Promise<SnapshotRecord[]> {
    const differing: SnapshotRecord[] = []
    for (let from = 0; from < records.length; ) {
      const { db } = records[from]
      let to = from
      while (to < records.length && records[to].db === db) to++
      const page = records.slice(from, to)
      const there = await this.read(db, page)
      for (const [i, record] of page.entries()) if (!this.same(record, there[i])) differing.push(record)
      from = to
    }
    return differing
  }

  /** What cannot be read counts as different: it is written again. */
  private async read(db: number, page: readonly SnapshotRecord[]): Promise<readonly (SnapshotRecord | null)[]> {
    try {
      return await this.reader.read(
        db,
        page.map(({ key }) => key),
        true,
      )
    } catch {
      return page.map(() => null)
    }
  }

  private same(record: SnapshotRecord, there: SnapshotRecord | null): boolean {
    if (there === null || record.value.form === 'sliced') return false
    if (Math.abs(record.expireAt - there.expireAt) > 1 || (record.expireAt === 0) !== (there.expireAt === 0))
      return false
    try {
      return sameValue(record.value, there.value, { fieldExpiry: this.fieldExpiry })
    } catch {
      return false
    }
  }

  async close(): Promise<void> {
    await this.reader.close()
  }
}
