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

const PLACEHOLDER = [Buffer.from('x'), Buffer.from('x')]
const COMMANDS = { list: 'RPUSH', set: 'SADD', hash: 'HSET', zset: 'ZADD' } as const
/** Arguments per command; far below any server's limit and short enough not to hold the server up. */
const CHUNK = 512
/** Bytes per command, likewise. */
const CHUNK_BYTES = 1 << 20

/**
 * Appends commands that add `items` to the key; gives how many commands. A string is appended to.
 * @param pieceBytes about how many bytes a command may have; a single element is never divided
 */
export function writeItems(out: RespWriter, key: Buffer, value: ItemsValue, pieceBytes = CHUNK_BYTES): number {
  const { type, items } = value
  if (type === 'string') {
    const [text] = items
    let pieces = 0
    for (let at = 0; at < text.length || pieces === 0; at += pieceBytes) {
      out.call('APPEND', key, text.subarray(at, at + pieceBytes))
      pieces++
    }
    return pieces
  }
  const width = type === 'list' || type === 'set' ? 1 : 2
  let commands = 0
  for (let from = 0; from < items.length; ) {
    let to = from
    let bytes = 0
    while (to < items.length && to - from < CHUNK && bytes < pieceBytes) {
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

/** Compares stream ids by number. */
function compareIds(a: string, b: string): number {
  const [ams, aseq] = a.split('-').map(BigInt)
  const [bms, bseq] = b.split('-').map(BigInt)
  return ams !== bms ? (ams < bms ? -1 : 1) : aseq < bseq ? -1 : aseq > bseq ? 1 : 0
}

/**
 * Ids that are pending in some group although their entry is gone. XCLAIM only takes what is there, so these entries
 * are added, claimed and deleted again.
 */
export function deletedPending(stream: StreamValue): string[] {
  const there = new Set(stream.entries.map((entry) => entry.id))
  const gone = new Set<string>()
  for (const group of stream.groups) for (const { id } of group.pending) if (!there.has(id)) gone.add(id)
  return [...gone].sort(compareIds)
}

/**
 * Appends what makes a stream whose entries are there already complete: groups, consumers, pending entries, then last id
 * and counters. Gives how many commands.
 * @param lastEntry id of the last entry added, undefined when there is none
 * @param placeholders entries that were added for their claims only
 */
export function writeStreamState(
  out: RespWriter,
  key: Buffer,
  stream: StreamValue,
  lastEntry: string | undefined,
  able: TypedAbilities,
  placeholders: readonly string[] = [],
): number {
  let commands = 0
  const call = (...argv: (Buffer | string | number)[]): void => {
    out.call(...argv)
    commands++
  }
  const untouched = lastEntry === undefined && stream.lastId === '0-0'
  if (untouched && stream.groups.length === 0) {
    // A stream that never had an entry can only come from XGROUP CREATE with MKSTREAM.
    call('XGROUP', 'CREATE', key, 'x', '0', 'MKSTREAM')
    call('XGROUP', 'DESTROY', key, 'x')
  }
  const bringsLastId = !untouched && lastEntry !== stream.lastId && (lastEntry === undefined || !able.xsetid)
  if (bringsLastId) call('XADD', key, stream.lastId, 'x', 'x')
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
  const deleted = [...placeholders, ...(bringsLastId ? [stream.lastId] : [])]
  for (let from = 0; from < deleted.length; from += CHUNK) call('XDEL', key, ...deleted.slice(from, from + CHUNK))
  if (able.xsetid && !untouched) {
    if (able.xsetidCounters && stream.entriesAdded !== '-1')
      call('XSETID', key, stream.lastId, 'ENTRIESADDED', stream.entriesAdded, 'MAXDELETEDID', stream.maxDeletedId)
    else call('XSETID', key, stream.lastId)
  }
  return commands
}

/** Appends everything that builds the value under `key`, which must not exist; gives how many commands. */
export function writeTyped(
  out: RespWriter,
  key: Buffer,
  value: DecodedValue,
  able: TypedAbilities,
  pieceBytes?: number,
): number {
  if (value.form === 'stream') {
    const placeholders = deletedPending(value)
    const entries =
      placeholders.length === 0
        ? value.entries
        : [...value.entries, ...placeholders.map((id) => ({ id, fields: PLACEHOLDER }))].sort((x, y) =>
            compareIds(x.id, y.id),
          )
    const added = writeStreamEntries(out, key, entries)
    return added + writeStreamState(out, key, value, entries.at(-1)?.id, able, placeholders)
  }
  if (value.type === 'string' && (pieceBytes === undefined || value.items[0].length <= pieceBytes)) {
    out.call('SET', key, value.items[0])
    return 1
  }
  const commands = writeItems(out, key, value, pieceBytes)
  return able.fieldExpiry ? commands + writeFieldExpiry(out, key, value) : commands
}
