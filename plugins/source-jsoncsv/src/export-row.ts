import type {
  DecodedValue,
  ItemsValue,
  SnapshotRecord,
  StreamConsumer,
  StreamGroup,
  StreamValue,
} from '@ferrite-migrate/contracts'
import { isOpaque } from '@ferrite-migrate/protocol'
import type { JsonRow } from './json-row.js'
import { RowError } from './row.js'

/**
 * Rows of this tool's own export: `{"db", "key", "type", "value", "expireAt"?}` with bytes as text where they are UTF-8, else
 * `{"base64": …}`. Values: a string; lists and sets as lists; hashes as lists of [field, value] or [field, value, expireAt];
 * zsets as lists of [member, score as text]; streams as an object; values of modules as `{"rdb": type, "version", "body"}`.
 */
export function isExportRow(row: JsonRow): boolean {
  const { key, type, value } = row.value
  return (typeof key === 'string' || isBytes(key)) && typeof type === 'string' && value !== undefined
}

/** @throws RowError */
export function exportRecord(row: JsonRow): SnapshotRecord {
  const { db = 0, key, type, value, expireAt = 0 } = row.value
  const fail = (text: string): never => {
    throw new RowError(row.line, text, row.json())
  }
  const bytes = (given: unknown): Buffer => {
    if (typeof given === 'string') return Buffer.from(given)
    return isBytes(given) ? Buffer.from(given.base64, 'base64') : fail('a text or {"base64": …} is wanted')
  }
  const list = (given: unknown): unknown[] => (Array.isArray(given) ? given : fail('a list is wanted'))
  if (!Number.isInteger(db) || (db as number) < 0 || (db as number) > 65_535) fail('db must be a number of a database')
  if (!Number.isSafeInteger(expireAt) || (expireAt as number) < 0) fail('expireAt must be a time in ms')
  const base = { db: db as number, key: bytes(key), expireAt: expireAt as number }
  const items = (kind: ItemsValue['type'], parts: Buffer[], ends?: number[]): SnapshotRecord => ({
    ...base,
    value: ends?.some((at) => at !== 0)
      ? { form: 'items', type: kind, items: parts, fieldExpireAt: ends }
      : ({ form: 'items', type: kind, items: parts } satisfies DecodedValue),
  })
  switch (type) {
    case 'string':
      return items('string', [bytes(value)])
    case 'list':
    case 'set':
      return items(type, list(value).map(bytes))
    case 'hash': {
      const parts = list(value).map(list)
      return items(
        'hash',
        parts.flatMap(([field, text]) => [bytes(field), bytes(text)]),
        parts.map(([, , end]) => (typeof end === 'number' ? end : 0)),
      )
    }
    case 'zset':
      return items(
        'zset',
        list(value)
          .map(list)
          .flatMap(([member, score]) => [bytes(member), bytes(String(score))]),
      )
    case 'stream':
      try {
        return { ...base, value: checkedStream(streamValue(value as Record<string, unknown>, bytes, list)) }
      } catch (error) {
        if (error instanceof RowError) throw error
        return fail('its stream is not as an export has it')
      }
    case 'module': {
      const { rdb, version, body } = value as { rdb: number; version: number; body: unknown }
      // What can be looked into is written as it reads: whatever hides in here would reach the server unseen.
      if (!Number.isInteger(rdb) || !Number.isInteger(version) || !isOpaque(rdb, version))
        return fail('a value of this type is not written as a module')
      return { ...base, value: { form: 'rdb', type: rdb, rdbVersion: version, body: bytes(body) } }
    }
    default:
      return fail(`there is no type ${String(type).slice(0, 40)}`)
  }
}

const ID = /^\d{1,20}-\d{1,20}$/
const COUNT = /^-?\d{1,20}$/

/** Ids are numbers, and those of entries grow: no server takes others. @throws Error */
function checkedStream(stream: StreamValue): StreamValue {
  const ids = [stream.lastId, stream.firstId, stream.maxDeletedId, ...stream.groups.map(({ lastId }) => lastId)]
  const counts = [stream.entriesAdded, ...stream.groups.map(({ entriesRead }) => entriesRead)]
  if (ids.some((id) => !ID.test(id)) || counts.some((count) => !COUNT.test(count))) throw new Error('no id')
  let former: readonly [bigint, bigint] = [-1n, 0n]
  for (const { id } of stream.entries) {
    if (typeof id !== 'string' || !ID.test(id)) throw new Error('no id')
    const [ms, seq] = id.split('-').map(BigInt)
    if (ms < former[0] || (ms === former[0] && seq <= former[1])) throw new Error('ids that do not grow')
    former = [ms, seq]
  }
  for (const { pending, consumers } of stream.groups)
    for (const id of [...pending.map((one) => one.id), ...consumers.flatMap((one) => one.pending)])
      if (!ID.test(id)) throw new Error('no id')
  return stream
}

function isBytes(value: unknown): value is { base64: string } {
  return typeof value === 'object' && value !== null && typeof (value as { base64?: unknown }).base64 === 'string'
}

function streamValue(
  value: Record<string, unknown>,
  bytes: (given: unknown) => Buffer,
  list: (given: unknown) => unknown[],
): StreamValue {
  const text = (name: string, fallback: string): string => String(value[name] ?? fallback)
  return {
    form: 'stream',
    type: 'stream',
    entries: list(value.entries).map((entry) => {
      const { id, fields } = entry as { id: string; fields: unknown }
      return { id, fields: list(fields).map(bytes) }
    }),
    lastId: text('lastId', '0-0'),
    firstId: text('firstId', '0-0'),
    maxDeletedId: text('maxDeletedId', '0-0'),
    entriesAdded: text('entriesAdded', '-1'),
    groups: list(value.groups ?? []).map((one): StreamGroup => {
      const group = one as Record<string, unknown>
      return {
        name: bytes(group.name),
        lastId: String(group.lastId),
        entriesRead: String(group.entriesRead),
        pending: list(group.pending) as StreamGroup['pending'],
        consumers: list(group.consumers).map((other): StreamConsumer => {
          const consumer = other as Record<string, unknown>
          return {
            name: bytes(consumer.name),
            seenAt: Number(consumer.seenAt),
            activeAt: Number(consumer.activeAt),
            pending: list(consumer.pending) as string[],
          }
        }),
      }
    }),
  }
}
