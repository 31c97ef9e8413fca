import type {
  DecodedValue,
  ItemsValue,
  StreamConsumer,
  StreamEntry,
  StreamGroup,
  StreamPending,
  StreamValue,
} from '@ferrite-migrate/contracts'
import { doubleText } from './decimal.js'
import { intsetElements, listpackElements, ziplistElements, zipmapElements } from './packed.js'
import { RdbCursor } from './rdb-cursor.js'
import { rdbCorrupt, rdbUnknown } from './rdb-error.js'
import { hasProducers, RdbType, rdbTypeName, VALKEY_RDB_VERSION } from './rdb-type.js'

/**
 * Decodes an RDB value.
 * @param body the bytes after the type byte; items may be views into it
 * @throws MigrateError FM_RDB_CORRUPT, FM_RDB_TRUNCATED, FM_RDB_LZF; FM_RDB_UNKNOWN for module values and unknown types
 */
export function decodeValue(type: number, body: Buffer, rdbVersion: number): DecodedValue {
  const cursor = new RdbCursor(body)
  const value = decodeBody(type, cursor, rdbVersion)
  if (cursor.left !== 0) throw rdbCorrupt(rdbTypeName(type), cursor.at, `${cursor.left} bytes are left over`)
  return value
}

function items(type: ItemsValue['type'], list: Buffer[], fieldExpireAt?: number[]): ItemsValue {
  return fieldExpireAt?.some((at) => at !== 0)
    ? { form: 'items', type, items: list, fieldExpireAt }
    : { form: 'items', type, items: list }
}

function pairs(type: 'hash' | 'zset', list: Buffer[]): ItemsValue {
  if (list.length % 2 !== 0) throw rdbCorrupt(`a ${type}`, 0, 'an odd number of elements')
  return items(type, list)
}

function strings(cursor: RdbCursor, each: number): Buffer[] {
  const list: Buffer[] = []
  for (let left = cursor.count(each, 'a collection') * each; left > 0; left--) list.push(cursor.string())
  return list
}

function decodeBody(type: number, cursor: RdbCursor, rdbVersion: number): DecodedValue {
  const valkey = rdbVersion >= VALKEY_RDB_VERSION
  if (valkey && type > RdbType.valkeyHash2) throw rdbUnknown('a value', 0, `unknown value type ${type}`)
  switch (type) {
    case RdbType.string:
      return items('string', [cursor.string()])
    case RdbType.list:
      return items('list', strings(cursor, 1))
    case RdbType.set:
      return items('set', strings(cursor, 1))
    case RdbType.hash:
      return items('hash', strings(cursor, 2))
    case RdbType.zset:
    case RdbType.zset2: {
      const list: Buffer[] = []
      for (let left = cursor.count(2, 'a zset'); left > 0; left--) {
        list.push(cursor.string())
        list.push(doubleText(type === RdbType.zset ? cursor.asciiDouble() : cursor.double()))
      }
      return items('zset', list)
    }
    case RdbType.hashZipmap:
      return pairs('hash', zipmapElements(cursor.string()))
    case RdbType.listZiplist:
      return items('list', ziplistElements(cursor.string()))
    case RdbType.setIntset:
      return items('set', intsetElements(cursor.string()))
    case RdbType.zsetZiplist:
      return pairs('zset', ziplistElements(cursor.string()))
    case RdbType.hashZiplist:
      return pairs('hash', ziplistElements(cursor.string()))
    case RdbType.hashListpack:
      return pairs('hash', listpackElements(cursor.string()))
    case RdbType.zsetListpack:
      return pairs('zset', listpackElements(cursor.string()))
    case RdbType.setListpack:
      return items('set', listpackElements(cursor.string()))
    case RdbType.listQuicklist:
    case RdbType.listQuicklist2: {
      const list: Buffer[] = []
      for (let left = cursor.count(1, 'a list'); left > 0; left--)
        for (const item of listNode(type, cursor)) list.push(item)
      return items('list', list)
    }
    case RdbType.valkeyHash2:
      return hashWithExpiry(cursor, valkey ? 'valkey' : 'absolute')
    case RdbType.hashMeta:
      return hashWithExpiry(cursor, 'relative')
    case RdbType.hashListpackExPreRelease:
    case RdbType.hashListpackEx: {
      if (type === RdbType.hashListpackEx) cursor.time()
      return triples(listpackElements(cursor.string()))
    }
    case RdbType.stream:
    case RdbType.stream2:
    case RdbType.stream3:
    case RdbType.stream4:
    case RdbType.stream5: {
      const entries: StreamEntry[] = []
      for (let left = cursor.count(2, 'a stream'); left > 0; left--)
        for (const entry of streamNode(cursor)) entries.push(entry)
      return { ...streamTail(type, cursor), entries }
    }
    case RdbType.templatePack:
    case RdbType.templateHash:
    case RdbType.templatePackRef:
    case RdbType.templateHashRef:
      return templateHash(type, cursor, new Map())
    case RdbType.array:
    case RdbType.rateLimit:
    case RdbType.module2:
    case RdbType.modulePreRelease:
      throw rdbUnknown('a value', 0, `a value of type ${rdbTypeName(type)}, which only travels raw`)
  }
  throw rdbUnknown('a value', 0, `unknown value type ${type}`)
}

/** The elements of one node of a list. */
export function listNode(type: number, cursor: RdbCursor): Buffer[] {
  if (type === RdbType.listQuicklist) return ziplistElements(cursor.string())
  const container = cursor.length()
  const blob = cursor.string()
  return container === 1 ? [blob] : listpackElements(blob)
}

/** Reads one field of a hash with field expiry into `list`; gives its absolute expiry in ms, 0 = none. */
export function expiringField(
  cursor: RdbCursor,
  form: 'valkey' | 'absolute' | 'relative',
  base: number,
  list: Buffer[],
): number {
  if (form === 'valkey') {
    list.push(cursor.string(), cursor.string())
    const at = cursor.time()
    return Math.max(at, 0)
  }
  const ttl = cursor.length()
  list.push(cursor.string(), cursor.string())
  return ttl === 0 ? 0 : form === 'relative' ? ttl + base - 1 : ttl
}

function hashWithExpiry(cursor: RdbCursor, form: 'valkey' | 'absolute' | 'relative'): ItemsValue {
  const base = form === 'relative' ? cursor.time() : 0
  const list: Buffer[] = []
  const expiries: number[] = []
  for (let left = cursor.count(2, 'a hash'); left > 0; left--) expiries.push(expiringField(cursor, form, base, list))
  return items('hash', list, expiries)
}

function triples(flat: Buffer[]): ItemsValue {
  if (flat.length % 3 !== 0) throw rdbCorrupt('a hash', 0, 'a field without value or expiry')
  const list: Buffer[] = []
  const expiries: number[] = []
  for (let i = 0; i < flat.length; i += 3) {
    list.push(flat[i], flat[i + 1])
    const expireAt = Number(flat[i + 2].toString('latin1'))
    if (!Number.isInteger(expireAt)) throw rdbCorrupt('a hash', 0, 'a field expiry is no integer')
    expiries.push(expireAt)
  }
  return items('hash', list, expiries)
}

function idText(ms: bigint, seq: bigint): string {
  return `${ms}-${seq}`
}

function rawId(bytes: Buffer): string {
  return idText(bytes.readBigUInt64BE(0), bytes.readBigUInt64BE(8))
}

/** The live entries of one node of a stream; deleted ones are left out. */
export function streamNode(cursor: RdbCursor): StreamEntry[] {
  const start = cursor.at
  const id = cursor.string('a stream node')
  if (id.length !== 16) throw rdbCorrupt('a stream node', start, 'its id is not 16 bytes')
  const ms = id.readBigUInt64BE(0)
  const seq = id.readBigUInt64BE(8)
  const parts = listpackElements(cursor.string('a stream node'))
  let at = 0
  const next = (): Buffer => {
    if (at >= parts.length) throw rdbCorrupt('a stream node', start, 'it ends inside an entry')
    return parts[at++]
  }
  const integer = (): number => {
    const value = Number(next().toString('latin1'))
    if (!Number.isInteger(value)) throw rdbCorrupt('a stream node', start, 'a count is no integer')
    return value
  }
  const bigInteger = (): bigint => {
    const text = next().toString('latin1')
    if (!/^-?\d{1,20}$/.test(text)) throw rdbCorrupt('a stream node', start, 'an id is no integer')
    return BigInt(text)
  }
  const alive = integer()
  const deleted = integer()
  const masters: Buffer[] = []
  for (let left = integer(); left > 0; left--) masters.push(next())
  next()
  const entries: StreamEntry[] = []
  for (let left = alive + deleted; left > 0; left--) {
    const flags = integer()
    const entryMs = bigInteger() + ms
    const entrySeq = bigInteger() + seq
    const fields: Buffer[] = []
    if (flags & 2) for (const name of masters) fields.push(name, next())
    else for (let count = integer(); count > 0; count--) fields.push(next(), next())
    next()
    if ((flags & 1) === 0) entries.push({ id: idText(entryMs, entrySeq), fields })
  }
  return entries
}

/** What makes XADD idempotent; gives how many producers have left ids. */
function streamProducers(cursor: RdbCursor): number {
  cursor.length()
  cursor.length()
  const producers = cursor.count(2, 'producers')
  for (let left = producers; left > 0; left--) {
    cursor.string()
    for (let ids = cursor.count(3, 'ids of a producer'); ids > 0; ids--) {
      cursor.string()
      cursor.length()
      cursor.length()
    }
  }
  cursor.length()
  cursor.length()
  return producers
}

/**
 * A hash whose field names are a template's: in itself, or by number.
 * @throws MigrateError FM_RDB_CORRUPT when there is no such template, or the values are not as many as the names
 */
export function templateHash(
  type: number,
  cursor: RdbCursor,
  templates: ReadonlyMap<number, readonly Buffer[]>,
): ItemsValue {
  const start = cursor.at
  let names: readonly Buffer[] | undefined
  let values: Buffer[] = []
  if (type === RdbType.templatePack || type === RdbType.templateHash) {
    names =
      cursor.length() === 0
        ? listpackElements(cursor.string())
        : Array.from({ length: cursor.count(1, 'a template') }, () => cursor.string())
  }
  if (type === RdbType.templatePack || type === RdbType.templatePackRef) {
    const [id, ...rest] = listpackElements(cursor.string())
    names ??= templates.get(Number(id?.toString('latin1')))
    values = rest
  } else {
    names ??= templates.get(cursor.length())
    for (let left = names?.length ?? 0; left > 0; left--) values.push(cursor.string())
  }
  if (names === undefined || names.length !== values.length)
    throw rdbCorrupt('a hash', start, 'its values are not those of a template')
  const list: Buffer[] = []
  for (const [i, name] of names.entries()) list.push(name, values[i])
  return items('hash', list)
}

/** Everything of a stream but its entries. */
export function streamTail(type: number, cursor: RdbCursor): StreamValue {
  const id = (): string =>
    `${cursor.bigLength().replace('-1', '18446744073709551615')}-${cursor.bigLength().replace('-1', '18446744073709551615')}`
  cursor.length()
  const lastId = id()
  const counted = type !== RdbType.stream
  const firstId = counted ? id() : '0-0'
  const maxDeletedId = counted ? id() : '0-0'
  const entriesAdded = counted ? cursor.bigLength() : '-1'
  const groups: StreamGroup[] = []
  for (let left = cursor.count(4, 'stream groups'); left > 0; left--) {
    const name = cursor.string()
    const groupLastId = id()
    const entriesRead = counted ? cursor.bigLength() : '-1'
    const pending: StreamPending[] = []
    for (let count = cursor.count(25, 'pending entries'); count > 0; count--) {
      const pendingId = rawId(cursor.bytes(16, 'a pending entry'))
      pending.push({ id: pendingId, deliveredAt: cursor.time(), deliveryCount: cursor.length() })
    }
    const consumers: StreamConsumer[] = []
    for (let count = cursor.count(10, 'consumers'); count > 0; count--) {
      const consumer = cursor.string()
      const seenAt = cursor.time()
      const activeAt = type === RdbType.stream || type === RdbType.stream2 ? -1 : cursor.time()
      const ids: string[] = []
      for (let owned = cursor.count(16, 'pending entries'); owned > 0; owned--)
        ids.push(rawId(cursor.bytes(16, 'a pending entry')))
      consumers.push({ name: consumer, seenAt, activeAt, pending: ids })
    }
    // Entries that no consumer owns: only their number is of interest, they are among the pending ones.
    if (type === RdbType.stream5)
      for (let free = cursor.count(16, 'pending entries'); free > 0; free--) cursor.bytes(16, 'a pending entry')
    groups.push({ name, lastId: groupLastId, entriesRead, pending, consumers })
  }
  const producers = hasProducers(type) ? streamProducers(cursor) : 0
  return {
    form: 'stream',
    type: 'stream',
    entries: [],
    lastId,
    firstId,
    maxDeletedId,
    entriesAdded,
    groups,
    ...(producers > 0 ? { producers } : {}),
  }
}
