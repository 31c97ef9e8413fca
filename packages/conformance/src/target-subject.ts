import type { SnapshotBatch, SnapshotRecord, Target } from '@ferrite-migrate/contracts'
import type { SampleType } from './samples.js'

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
export async function valueAt(target: Target, key: string, db = 0): Promise<SnapshotRecord | null> {
  const reader = target.reader()
  try {
    return (await reader.read(db, [Buffer.from(key)], true))[0]
  } finally {
    await reader.close()
  }
}

/** Why nothing can be said of changes; null = it can. */
export function withoutReplay({ target }: TargetSubject): string | null {
  const { replay, replayRefusals } = target.dialect
  return replay ? null : `the target takes no changes: ${replayRefusals.join(', ') || 'it does not say why'}`
}
