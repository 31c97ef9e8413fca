import { PackedRecord, type SlicedValue, type SnapshotRecord } from '@ferrite-migrate/contracts'

/** A record whose value is too large to be held, and comes in slices. */
export interface SlicedRecord extends SnapshotRecord {
  readonly value: SlicedValue
}

/** True for a record whose value comes in slices. */
export function isSliced(record: SnapshotRecord): record is SlicedRecord {
  // Asking a packed record for its value makes one.
  return !(record instanceof PackedRecord) && record.value.form === 'sliced'
}

/** Reads the slices of a record that nobody wants: what comes behind them can be read only then. */
export async function readPast(record: SnapshotRecord): Promise<void> {
  if (isSliced(record)) for await (const _ of record.value.slices);
}
