import type { AdapterContext, DecodedValue, KeyReader, SnapshotRecord, Source } from '@ferrite-migrate/contracts'
import { decodeValue, keyTypeOf } from '@ferrite-migrate/protocol'
import type { Registry } from '../adapters/registry.js'
import type { ResolvedConfig } from '../config/config.js'
import { RecordFilter } from '../records/key-filter.js'
import { openTransform } from './open-transform.js'
import type { RecordTransform } from './record-transform.js'
import { wholeValue } from './whole-value.js'

/** One key before and after. */
export interface PreviewedKey {
  readonly db: number
  readonly key: Buffer
  readonly type: string
  /** Null = a module's value, which nothing looks into. */
  readonly before: DecodedValue | null
  /** Null = the key is left out. */
  readonly after: { readonly db: number; readonly key: Buffer; readonly value: DecodedValue | null } | null
  /** Why its value cannot be transformed; null = it can. */
  readonly error: string | null
}

/** What is shown of a source. */
export interface Preview {
  readonly keys: readonly PreviewedKey[]
  /** Keys of the source that were looked at for them. */
  readonly looked: number
  /** The source may have others behind those that were looked at. */
  readonly more: boolean
}

const PAGE = 100
/** Keys that are looked at for some to show. */
const MOST_LOOKED = 1_000_000

/**
 * Shows what the rules and the script make of some keys of a source. Writes nothing anywhere.
 * @param limit keys at most
 * @param most keys of the source that are looked at; after so many it shows what it has found
 */
export async function previewTransform(
  config: ResolvedConfig,
  registry: Pick<Registry, 'source' | 'transform'>,
  context: Omit<AdapterContext, 'url' | 'options'>,
  limit: number,
  most = MOST_LOOKED,
): Promise<Preview> {
  const faults = new Map<string, string>()
  const transform = await openTransform({ ...config, onTransformError: 'skip' }, registry, context, (fault) =>
    faults.set(nameOf(fault), fault.reason),
  )
  const keys: PreviewedKey[] = []
  try {
    const filter = new RecordFilter(config.filter)
    const source = await registry.source(config.source, { inspect: 'false' }, config.sourceOptions, context)
    try {
      let looked = 0
      for await (const page of pages(source, filter, context.signal)) {
        looked += page.looked
        const taken = page.records.filter((record) => filter.takes(record)).slice(0, limit - keys.length)
        if (taken.length > 0) keys.push(...(await previewed(taken, transform, faults)))
        if (keys.length >= limit || looked >= most) return { keys, looked, more: true }
        await passBy(page.records.filter((record) => !taken.includes(record)))
      }
      return { keys, looked, more: false }
    } finally {
      await source[Symbol.asyncDispose]()
    }
  } finally {
    await transform.close()
  }
}

const nameOf = ({ db, key }: { readonly db: number; readonly key: Buffer }): string => `${db}:${key.toString('latin1')}`

async function previewed(
  records: readonly SnapshotRecord[],
  transform: RecordTransform,
  faults: ReadonlyMap<string, string>,
): Promise<PreviewedKey[]> {
  const held = await Promise.all(records.map(whole))
  const valued = await transform.values(held)
  const names = await transform.names(held)
  return held.map((record, i) => {
    const { db, key } = record
    const [value, name] = [valued[i], names[i]]
    return {
      db,
      key: Buffer.from(key),
      type: typeOf(record),
      before: decoded(record),
      after:
        value === null || name === null ? null : { db: name.db, key: Buffer.from(name.key), value: decoded(value) },
      error: faults.get(nameOf(record)) ?? null,
    }
  })
}

/** The slices of a value come out of the stream itself: nothing behind them can be read before they are. */
async function passBy(records: readonly SnapshotRecord[]): Promise<void> {
  for (const { value } of records) if (value.form === 'sliced') for await (const _ of value.slices);
}

/** Records of a source, and how many keys were looked at for them. */
interface Page {
  readonly records: readonly SnapshotRecord[]
  readonly looked: number
}

function pages(source: Source, filter: RecordFilter, signal: AbortSignal): AsyncGenerator<Page> {
  const reader = source.reader?.()
  return reader === undefined ? snapshotPages(source, filter, signal) : readPages(reader, filter)
}

async function* snapshotPages(source: Source, filter: RecordFilter, signal: AbortSignal): AsyncGenerator<Page> {
  const wants = (db: number, key: Buffer): boolean => filter.takesKey(db, key)
  for (const shard of source.shards)
    for await (const event of shard.read({ signal, changes: false, wants })) {
      if (event.kind !== 'snapshot') continue
      try {
        yield { records: event.records, looked: event.records.length + (event.passed ?? 0) }
      } finally {
        event.release?.()
      }
    }
}

/** Of keys whose name is not taken no value is read. */
async function* readPages(reader: KeyReader, filter: RecordFilter): AsyncGenerator<Page> {
  try {
    for await (const keys of reader.keys())
      for (let from = 0; from < keys.length; from += PAGE) {
        const page = keys.slice(from, from + PAGE)
        const { db } = page[0]
        const wanted = page.filter(({ key }) => filter.takesKey(db, key)).map(({ key }) => key)
        const read = wanted.length === 0 ? [] : await reader.read(db, wanted, true)
        yield { records: read.filter((record) => record !== null), looked: page.length }
      }
  } finally {
    await reader.close()
  }
}

async function whole(record: SnapshotRecord): Promise<SnapshotRecord> {
  return record.value.form === 'sliced' ? { ...record, value: await wholeValue(record.value) } : record
}

function typeOf({ value }: SnapshotRecord): string {
  return value.form === 'rdb' ? (keyTypeOf(value.type, value.rdbVersion) ?? 'unknown') : value.type
}

function decoded(record: SnapshotRecord): DecodedValue | null {
  const { value } = record
  if (value.form === 'sliced' || typeOf(record) === 'module') return null
  return value.form === 'rdb' ? decodeValue(value.type, value.body, value.rdbVersion) : value
}
