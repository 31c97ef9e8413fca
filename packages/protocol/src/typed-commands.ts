import type { DecodedValue, ItemsValue, StreamEntry, StreamValue } from '@ferrite-migrate/contracts'
import type { RespWriter } from './resp-writer.js'

/** What the receiving server knows; found by probes. */
export interface TypedAbilities {
  /** XSETID with ENTRIESADDED and MAXDELETEDID (Redis 7). */
  readonly xsetidCounters: boolean
  readonly xsetid: boolean
  /** XGROUP CREATE … ENTRIESREAD (Redis 7). */
  readonly entriesRead: boolean
  /** HPEXPIREAT (Redis 7.4, Valkey 9). */
  readonly fieldExpiry: boolean
  readonly createConsumer: boolean
}

const COMMANDS = { list: 'RPUSH', set: 'SADD', hash: 'HSET', zset: 'ZADD' } as const
/** Arguments per command; far below any server's limit and short enough not to hold the server up. */
const CHUNK = 512
/** Bytes per command, likewise. */
const CHUNK_BYTES = 1 << 20

/** Appends commands that add `items` to the key; gives how many commands. A string is appended to. */
export function writeItems(out: RespWriter, key: Buffer, value: ItemsValue): number {
  const { type, items } = value
  if (type === 'string') {
    out.call('APPEND', key, items[0])
    return 1
  }
  const width = type === 'list' || type === 'set' ? 1 : 2
  let commands = 0
  for (let from = 0; from < items.length; ) {
    let to = from
    let bytes = 0
    while (to < items.length && to - from < CHUNK && bytes < CHUNK_BYTES) {
      for (let i = 0; i < width; i++) bytes += items[to++].length
    }
    out.command(2 + to - from)
    out.text(COMMANDS[type])
    out.bytes(key)
    for (let i = from; i < to; i++) {
      // ZADD wants the score before the member.
      out.bytes(type === 'zset' ? items[i ^ 1] : items[i])
    }
    commands++
    from = to
  }
  return commands
}

/** Appends HPEXPIREAT for the fields that expire; gives how many commands. */
export function writeFieldExpiry(out: RespWriter, key: Buffer, value: ItemsValue): number {
  let commands = 0
  value.fieldExpireAt?.forEach((at, field) => {
    if (at === 0) return
    out.call('HPEXPIREAT', key, at, 'FIELDS', '1', value.items[field * 2])
    commands++
  })
  return commands
}

/** Appends XADD for the entries; gives how many commands. */
export function writeStreamEntries(out: RespWriter, key: Buffer, entries: readonly StreamEntry[]): number {
  for (const entry of entries) {
    out.command(3 + entry.fields.length)
    out.text('XADD')
    out.bytes(key)
    out.text(entry.id)
    for (const field of entry.fields) out.bytes(field)
  }
  return entries.length
}

/**
 * Appends what makes a stream whose entries are there already complete: last id, counters, groups, consumers, pending
 * entries. Gives how many commands. Order as a server needs it: last id, groups, then claims.
 */
export function writeStreamState(
  out: RespWriter,
  key: Buffer,
  stream: StreamValue,
  lastEntry: string | undefined,
  able: TypedAbilities,
): number {
  let commands = 0
  const call = (...argv: (Buffer | string | number)[]): void => {
    out.call(...argv)
    commands++
  }
  if (lastEntry === undefined || lastEntry !== stream.lastId) {
    if (lastEntry === undefined && stream.lastId === '0-0') {
      // A stream that never had an entry can only come from XGROUP CREATE … MKSTREAM.
    } else if (lastEntry === undefined || !able.xsetid) {
      call('XADD', key, stream.lastId, 'x', 'x')
      call('XDEL', key, stream.lastId)
    }
  }
  if (able.xsetid && !(lastEntry === undefined && stream.lastId === '0-0')) {
    if (able.xsetidCounters && stream.entriesAdded !== '-1')
      call('XSETID', key, stream.lastId, 'ENTRIESADDED', stream.entriesAdded, 'MAXDELETEDID', stream.maxDeletedId)
    else call('XSETID', key, stream.lastId)
  }
  if (lastEntry === undefined && stream.lastId === '0-0' && stream.groups.length === 0) {
    call('XGROUP', 'CREATE', key, 'x', '0', 'MKSTREAM')
    call('XGROUP', 'DESTROY', key, 'x')
  }
  for (const group of stream.groups) {
    const tail = able.entriesRead && group.entriesRead !== '-1' ? ['ENTRIESREAD', group.entriesRead] : []
    call('XGROUP', 'CREATE', key, group.name, group.lastId, 'MKSTREAM', ...tail)
    const pending = new Map(group.pending.map((entry) => [entry.id, entry]))
    for (const consumer of group.consumers) {
      if (able.createConsumer) call('XGROUP', 'CREATECONSUMER', key, group.name, consumer.name)
      for (const id of consumer.pending) {
        const entry = pending.get(id)
        call(
          'XCLAIM',
          key,
          group.name,
          consumer.name,
          '0',
          id,
          'TIME',
          entry?.deliveredAt ?? 0,
          'RETRYCOUNT',
          entry?.deliveryCount ?? 1,
          'FORCE',
          'JUSTID',
        )
      }
    }
  }
  return commands
}

/** Appends everything that builds the value under `key`, which must not exist; gives how many commands. */
export function writeTyped(out: RespWriter, key: Buffer, value: DecodedValue, able: TypedAbilities): number {
  if (value.form === 'stream') {
    const added = writeStreamEntries(out, key, value.entries)
    return added + writeStreamState(out, key, value, value.entries.at(-1)?.id, able)
  }
  if (value.type === 'string') {
    out.call('SET', key, value.items[0])
    return 1
  }
  const commands = writeItems(out, key, value)
  return able.fieldExpiry ? commands + writeFieldExpiry(out, key, value) : commands
}
