import type {
  ChangeRecord,
  SnapshotRecord,
  SourceEvent,
  StreamEntry,
  StreamValue,
  Value,
} from '@ferrite-migrate/contracts'

/** An event in memory of its own, values in slices put together; it stays valid after the event was released. */
export async function copiedEvent(event: SourceEvent): Promise<SourceEvent> {
  if (event.kind === 'snapshot') {
    const records: SnapshotRecord[] = []
    for (const record of event.records) records.push(await copiedRecord(record))
    return { ...event, records }
  }
  if (event.kind === 'changes') return { ...event, records: event.records.map(copiedChange) }
  if (event.kind === 'dirty')
    return { ...event, keys: event.keys.map(({ db, key }) => ({ db, key: Buffer.from(key) })) }
  return event
}

/** A record in memory of its own, whole. */
export async function copiedRecord({ db, key, value, expireAt }: SnapshotRecord): Promise<SnapshotRecord> {
  return { db, key: Buffer.from(key), value: await wholeValue(value), expireAt }
}

function copiedChange({ db, name, argv, resp, receivedAt }: ChangeRecord): ChangeRecord {
  return { db, name, argv: argv.map((argument) => Buffer.from(argument)), resp: Buffer.from(resp), receivedAt }
}

const copies = (items: readonly Buffer[]): Buffer[] => items.map((item) => Buffer.from(item))
const copiedEntries = (entries: readonly StreamEntry[]): StreamEntry[] =>
  entries.map(({ id, fields }) => ({ id, fields: copies(fields) }))

/** A value in memory of its own, its slices put together. */
async function wholeValue(value: Value): Promise<Value> {
  switch (value.form) {
    case 'rdb':
      return { ...value, body: Buffer.from(value.body) }
    case 'items':
      return { ...value, items: copies(value.items) }
    case 'stream':
      return { ...value, entries: copiedEntries(value.entries) }
  }
  const { type } = value
  const items: Buffer[] = []
  const ends: number[] = []
  const entries: StreamEntry[] = []
  let stream: StreamValue | undefined
  for await (const slice of value.slices) {
    items.push(...copies(slice.items))
    ends.push(...(slice.fieldExpireAt ?? []))
    entries.push(...copiedEntries(slice.entries ?? []))
    stream = slice.stream ?? stream
  }
  if (type === 'stream') {
    if (stream === undefined) throw new Error('the last slice of a stream lacks what is no entry')
    return { ...stream, entries }
  }
  return {
    form: 'items',
    type,
    items: type === 'string' ? [Buffer.concat(items)] : items,
    ...(ends.length > 0 ? { fieldExpireAt: ends } : {}),
  }
}
