import type { DecodedValue, SlicedValue, SnapshotRecord, StreamEntry, StreamValue } from '@ferrite-migrate/contracts'
import type { SlicedRecord } from '../records/sliced-record.js'

/** A value that comes in slices, held whole. Its slices are read to their end. */
export async function wholeValue({ type, slices }: SlicedValue): Promise<DecodedValue> {
  const items: Buffer[] = []
  const ends: number[] = []
  const entries: StreamEntry[] = []
  let stream: StreamValue | null = null
  for await (const slice of slices) {
    // A slice is valid until the next one is asked for.
    for (const item of slice.items) items.push(Buffer.from(item))
    for (const end of slice.fieldExpireAt ?? []) ends.push(end)
    for (const { id, fields } of slice.entries ?? [])
      entries.push({ id, fields: fields.map((field) => Buffer.from(field)) })
    stream = slice.stream ?? stream
  }
  if (type === 'stream') return { ...stream!, entries }
  if (type === 'string') return { form: 'items', type, items: [Buffer.concat(items)] }
  return ends.some((at) => at !== 0)
    ? { form: 'items', type, items, fieldExpireAt: ends }
    : { form: 'items', type, items }
}

/** The same record with its value held whole. */
export async function wholeRecord(record: SlicedRecord): Promise<SnapshotRecord> {
  const { db, key, expireAt, value } = record
  return { db, key, expireAt, value: await wholeValue(value) }
}
