import type { AdapterContext, DecodedValue, SnapshotRecord } from '@ferrite-migrate/contracts'
import { decodeValue, keyTypeOf } from '@ferrite-migrate/protocol'
import type { Registry } from '../adapters/registry.js'
import type { ResolvedConfig } from '../config/config.js'
import { RecordFilter } from '../records/key-filter.js'
import { openTransform } from './open-transform.js'
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

const PAGE = 100

/**
 * Shows what the rules and the script make of some keys of a source. Writes nothing anywhere.
 * @param limit keys at most
 */
export async function previewTransform(
  config: ResolvedConfig,
  registry: Registry,
  context: Omit<AdapterContext, 'url' | 'options'>,
  limit: number,
): Promise<PreviewedKey[]> {
  const faults = new Map<string, string>()
  const nameOf = (db: number, key: Buffer): string => `${db}:${key.toString('latin1')}`
  const transform = await openTransform({ ...config, onTransformError: 'skip' }, registry, context, (fault) =>
    faults.set(nameOf(fault.db, fault.key), fault.reason),
  )
  const found: PreviewedKey[] = []
  const look = async (records: readonly SnapshotRecord[]): Promise<void> => {
    const held = await Promise.all(records.map(whole))
    const valued = await transform.values(held)
    const names = await transform.names(held)
    for (const [i, record] of held.entries()) {
      const { db, key } = record
      const value = valued[i]
      const name = names[i]
      found.push({
        db,
        key: Buffer.from(key),
        type: typeOf(record),
        before: decoded(record),
        after:
          value === null || name === null ? null : { db: name.db, key: Buffer.from(name.key), value: decoded(value) },
        error: faults.get(nameOf(db, key)) ?? null,
      })
    }
  }
  try {
    const filter = new RecordFilter(config.filter)
    const source = await registry.source(config.source, { inspect: 'false' }, config.sourceOptions, context)
    try {
      for await (const page of pages(source, context.signal)) {
        const taken = page.filter((record) => filter.takes(record)).slice(0, limit - found.length)
        if (taken.length > 0) await look(taken)
        if (found.length >= limit) break
      }
    } finally {
      await source[Symbol.asyncDispose]()
    }
    return found
  } finally {
    await transform.close()
  }
}

async function* pages(
  source: Awaited<ReturnType<Registry['source']>>,
  signal: AbortSignal,
): AsyncGenerator<readonly SnapshotRecord[]> {
  const reader = source.reader?.()
  if (reader === undefined) {
    for (const shard of source.shards)
      for await (const event of shard.read({ signal, changes: false })) {
        if (event.kind !== 'snapshot') continue
        yield event.records
        event.release?.()
      }
    return
  }
  try {
    for await (const keys of reader.keys())
      for (let from = 0; from < keys.length; from += PAGE) {
        const page = keys.slice(from, from + PAGE)
        const read = await reader.read(
          page[0].db,
          page.map(({ key }) => key),
          true,
        )
        yield read.filter((record) => record !== null)
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
