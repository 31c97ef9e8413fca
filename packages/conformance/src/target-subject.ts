import type { SnapshotBatch, SnapshotRecord, Target, WriteResult } from '@ferrite-migrate/contracts'
import { decodedOf, type SampleType } from './samples.js'

/** What the kit needs to try a target: one that is empty. */
export interface TargetSubject {
  readonly target: Target
  /** The types that it can hold, when not all; of the others it must tell that they are not carried. */
  readonly types?: readonly SampleType[]
  /** Makes the target lose what was written, or be taken for one that may have (it is started again). */
  lose?(): Promise<void>
}

/** Records for one lane. */
export function batchOf(
  records: readonly SnapshotRecord[],
  onConflict: SnapshotBatch['onConflict'] = 'replace',
  lane = 0,
): SnapshotBatch {
  return { kind: 'snapshot', lane, records, onConflict }
}

/** A list of short items. */
export function listRecord(key: string, ...items: readonly string[]): SnapshotRecord {
  return {
    db: 0,
    key: Buffer.from(key),
    value: { form: 'items', type: 'list', items: items.map((item) => Buffer.from(item)) },
    expireAt: 0,
  }
}

/** What the target has under a key. */
export async function valueAt(target: Target, key: Buffer | string, db = 0): Promise<SnapshotRecord | null> {
  const reader = target.reader()
  try {
    return (await reader.read(db, [typeof key === 'string' ? Buffer.from(key) : key], true))[0]
  } finally {
    await reader.close()
  }
}

/** Whether an answer tells that something of a key was left out or refused. */
export function tells({ failed, notCarried }: WriteResult, key: Buffer): boolean {
  return [...failed, ...notCarried].some((one) => one.key?.equals(key) ?? false)
}

/** The ends of the fields of a hash, 0 = none; empty where nothing is there, or no field ends. */
export function fieldEnds(record: SnapshotRecord | null): readonly number[] {
  if (record === null) return []
  const value = decodedOf(record)
  const ends = value.form === 'items' ? (value.fieldExpireAt ?? []) : []
  return ends.some((end) => end > 0) ? ends : []
}

/** A hash whose first field ends. */
export function endingFields(key: string, end: number): SnapshotRecord {
  const items = ['a', '1', 'b', '2'].map((item) => Buffer.from(item))
  const value = { form: 'items', type: 'hash', items, fieldExpireAt: [end, 0] } as const
  return { db: 0, key: Buffer.from(key), value, expireAt: 0 }
}

/** Why nothing can be said of changes; null = it can. */
export function withoutReplay({ target }: TargetSubject): string | null {
  const { replay, replayRefusals } = target.dialect
  return replay ? null : `the target takes no changes: ${replayRefusals.join(', ') || 'it does not say why'}`
}
