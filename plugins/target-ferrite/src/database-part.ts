import type { DirtyKey, SnapshotRecord } from '@ferrite-migrate/contracts'

/** What of a batch belongs to one database. */
export interface DatabasePart {
  readonly db: number
  readonly records: readonly SnapshotRecord[]
  readonly deletes: readonly DirtyKey[]
}

export function byDatabase(records: readonly SnapshotRecord[], deletes: readonly DirtyKey[]): DatabasePart[] {
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
