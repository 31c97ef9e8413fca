import type { ItemsValue, SnapshotRecord, Value } from '@ferrite-migrate/contracts'
import { parseDump, type RespWriter } from '@ferrite-migrate/protocol'
import { splitReplies } from './raw-reader.js'

/** How a value is read for a comparison. DUMP says everything, and costs a server ten times what the others do. */
export const SHAPE = { dump: 0, string: 1, hash: 2, list: 3, set: 4, zset: 5 } as const

const TYPES: Readonly<Record<number, ItemsValue['type']>> = {
  [SHAPE.string]: 'string',
  [SHAPE.hash]: 'hash',
  [SHAPE.list]: 'list',
  [SHAPE.set]: 'set',
  [SHAPE.zset]: 'zset',
}

/** Hashes in an encoding that may hold expiries of fields are read whole, and what is no plain type too. */
export function shapeOf(type: string, encoding: string): number {
  if (type === 'hash') return encoding === 'listpack' || encoding === 'ziplist' ? SHAPE.hash : SHAPE.dump
  return type === 'string' || type === 'list' || type === 'set' || type === 'zset' ? SHAPE[type] : SHAPE.dump
}

export function writeRead(out: RespWriter, shape: number, key: Buffer): void {
  switch (shape) {
    case SHAPE.string:
      return out.call('GET', key)
    case SHAPE.hash:
      return out.call('HGETALL', key)
    case SHAPE.list:
      return out.call('LRANGE', key, '0', '-1')
    case SHAPE.set:
      return out.call('SMEMBERS', key)
    case SHAPE.zset:
      return out.call('ZRANGE', key, '0', '-1', 'WITHSCORES')
    default:
      return out.call('DUMP', key)
  }
}

/** The records behind the replies to `writeRead` and PEXPIRETIME for each key, after one to SELECT. */
export function rawRecords(
  db: number,
  keys: readonly Buffer[],
  shapes: Uint8Array,
  bytes: Buffer,
): (SnapshotRecord | null)[] {
  const replies = splitReplies(bytes)
  return keys.map((key, i): SnapshotRecord | null => {
    const reply = replies[i * 2 + 1]
    const expiry = replies[i * 2 + 2]
    const ttl = Number(Buffer.isBuffer(expiry) ? expiry.toString('latin1') : Number.NaN)
    if (reply === null || ttl === -2) return null
    return { db, key, value: valueFrom(shapes[i], reply), expireAt: Math.max(0, ttl) }
  })
}

function valueFrom(shape: number, reply: Buffer | Buffer[]): Value {
  const type = TYPES[shape]
  if (type === undefined) return parseDump(reply as Buffer, false)
  return { form: 'items', type, items: Array.isArray(reply) ? reply : [reply] }
}
