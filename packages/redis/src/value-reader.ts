import {
  type ItemsValue,
  MigrateError,
  type SlicedValue,
  type StreamConsumer,
  type StreamEntry,
  type StreamGroup,
  type StreamPending,
  type StreamValue,
  type ValueSlice,
} from '@ferrite-migrate/contracts'
import { type Reply, ReplyError } from '@ferrite-migrate/protocol'
import type { RedisLink } from './link.js'

/** Bytes read per command of a string above the size limit, and about that many of other values. */
const STRING_STEP = 1 << 20
/** Elements read per command at first, and at most. */
const FIRST_STEP = 64
const LONGEST_STEP = 1000

/** How many elements to read next, after a slice of these. */
function nextStep(items: readonly Buffer[], elements: number): number {
  let bytes = 0
  for (const item of items) bytes += item.length
  return Math.max(1, Math.min(LONGEST_STEP, Math.floor((STRING_STEP * elements) / Math.max(1, bytes))))
}

type Type = SlicedValue['type']

function flat(reply: Reply): Buffer[] {
  return reply as Buffer[]
}

function fields(reply: Reply): Map<string, Reply> {
  const list = reply as Reply[]
  const map = new Map<string, Reply>()
  for (let i = 0; i + 1 < list.length; i += 2) map.set(String(list[i]), list[i + 1])
  return map
}

async function ask(link: RedisLink, db: number, ...argv: (Buffer | string | number)[]): Promise<Reply> {
  const [reply] = await link.pipeline((out) => {
    out.call(...argv)
    return 1
  }, db)
  if (reply instanceof ReplyError)
    throw new MigrateError(
      'FM_SERVER_REFUSED',
      `${link.endpoint.label} answered ${argv[0]} with: ${reply.message.slice(0, 200)}`,
      'See the message of the server.',
    )
  return reply
}

/**
 * Reads a value piece by piece with typed commands. While somebody writes to the key the pieces are of different
 * moments; the caller must learn of the write and read again.
 */
export async function* readSlices(
  link: RedisLink,
  db: number,
  key: Buffer,
  type: Type,
  fieldExpiry: boolean,
): AsyncGenerator<ValueSlice> {
  switch (type) {
    case 'string':
      for (let from = 0; ; from += STRING_STEP) {
        const piece = (await ask(link, db, 'GETRANGE', key, from, from + STRING_STEP - 1)) as Buffer
        if (piece.length > 0) yield { items: [piece] }
        if (piece.length < STRING_STEP) return
      }
    case 'list': {
      let step = FIRST_STEP
      for (let from = 0; ; ) {
        const items = flat(await ask(link, db, 'LRANGE', key, from, from + step - 1))
        const { length } = items
        if (length === 0) return
        from += length
        const next = nextStep(items, length)
        yield { items }
        if (length < step) return
        step = next
      }
    }
    case 'stream': {
      let after = '-'
      for (let step = FIRST_STEP; ; ) {
        const entries = parseEntries(await ask(link, db, 'XRANGE', key, after, '+', 'COUNT', step))
        const { length } = entries
        if (length === 0) break
        after = nextId(entries[length - 1].id)
        const next = nextStep(
          entries.flatMap(({ fields }) => fields),
          length,
        )
        yield { items: [], entries }
        if (length < step) break
        step = next
      }
      yield { items: [], stream: await readStreamState(link, db, key) }
      return
    }
    default: {
      const command = type === 'hash' ? 'HSCAN' : type === 'set' ? 'SSCAN' : 'ZSCAN'
      let cursor = '0'
      let expiring = type === 'hash' && fieldExpiry
      let step = FIRST_STEP
      do {
        const [next, list] = (await ask(link, db, command, key, cursor, 'COUNT', step)) as [Buffer, Buffer[]]
        cursor = String(next)
        if (list.length === 0) continue
        step = nextStep(list, type === 'set' ? list.length : list.length / 2)
        const fieldExpireAt = expiring ? await readFieldExpiry(link, db, key, list) : null
        // A server without the command has no such expiries.
        if (fieldExpireAt === null) expiring = false
        yield fieldExpireAt === null ? { items: list } : { items: list, fieldExpireAt }
      } while (cursor !== '0')
    }
  }
}

/** A value in one piece by the commands of its type; null when the key is gone. */
export async function readWhole(
  link: RedisLink,
  db: number,
  key: Buffer,
  type: ItemsValue['type'],
  fieldExpiry: boolean,
): Promise<ItemsValue | null> {
  const step = type === 'set' ? 1 : type === 'hash' || type === 'zset' ? 2 : 0
  const items: Buffer[] = []
  const ends: number[] = []
  // What a scan gives twice would be no value.
  const seen = new Set<string>()
  for await (const slice of readSlices(link, db, key, type, fieldExpiry))
    if (step === 0) for (const item of slice.items) items.push(item)
    else
      for (let at = 0; at < slice.items.length; at += step) {
        const name = slice.items[at].toString('latin1')
        if (seen.has(name)) continue
        seen.add(name)
        items.push(slice.items[at])
        if (step === 2) items.push(slice.items[at + 1])
        ends.push(slice.fieldExpireAt?.[at / step] ?? 0)
      }
  if (type === 'string') return { form: 'items', type, items: [Buffer.concat(items)] }
  if (items.length === 0) return null
  return ends.some((end) => end > 0)
    ? { form: 'items', type, items, fieldExpireAt: ends }
    : { form: 'items', type, items }
}

/** Absolute ms for each field, 0 = none; null when the server does not know the command. */
async function readFieldExpiry(
  link: RedisLink,
  db: number,
  key: Buffer,
  list: readonly Buffer[],
): Promise<number[] | null> {
  const names = list.filter((_, i) => i % 2 === 0)
  const [reply] = await link.pipeline((out) => {
    out.call('HPEXPIRETIME', key, 'FIELDS', names.length, ...names)
    return 1
  }, db)
  if (reply instanceof ReplyError && /unknown command/i.test(reply.message)) return null
  if (reply instanceof ReplyError)
    throw new MigrateError(
      'FM_SERVER_REFUSED',
      `${link.endpoint.label} answered HPEXPIRETIME with: ${reply.message.slice(0, 120)}`,
      'See the message of the server.',
    )
  return (reply as number[]).map((at) => Math.max(0, Number(at)))
}

function nextId(id: string): string {
  const [ms, seq] = id.split('-')
  const next = BigInt(seq) + 1n
  return next > 0xffffffffffffffffn ? `${BigInt(ms) + 1n}-0` : `${ms}-${next}`
}

function parseEntries(reply: Reply): StreamEntry[] {
  return (reply as [Buffer, Buffer[] | null][])
    .filter(([, list]) => list !== null)
    .map(([id, list]) => ({ id: String(id), fields: list as Buffer[] }))
}

/** Everything of a stream but its entries, from XINFO, XPENDING and XRANGE. */
export async function readStreamState(link: RedisLink, db: number, key: Buffer): Promise<StreamValue> {
  const info = fields(await ask(link, db, 'XINFO', 'STREAM', key))
  const groups: StreamGroup[] = []
  for (const raw of (await ask(link, db, 'XINFO', 'GROUPS', key)) as Reply[]) {
    const group = fields(raw)
    const name = group.get('name') as Buffer
    const consumers = new Map<string, { name: Buffer; seenAt: number; activeAt: number; pending: string[] }>()
    const now = Date.now()
    for (const one of (await ask(link, db, 'XINFO', 'CONSUMERS', key, name)) as Reply[]) {
      const consumer = fields(one)
      const own = consumer.get('name') as Buffer
      const inactive = consumer.get('inactive')
      consumers.set(own.toString('latin1'), {
        name: own,
        seenAt: now - Number(consumer.get('idle') ?? 0),
        activeAt: inactive === undefined || Number(inactive) < 0 ? -1 : now - Number(inactive),
        pending: [],
      })
    }
    const pending: StreamPending[] = []
    for (let from = '-'; ; ) {
      const rows = (await ask(link, db, 'XPENDING', key, name, from, '+', LONGEST_STEP)) as [
        Buffer,
        Buffer,
        number,
        number,
      ][]
      for (const [id, owner, idle, count] of rows) {
        pending.push({ id: String(id), deliveredAt: now - Number(idle), deliveryCount: Number(count) })
        consumers.get(owner.toString('latin1'))?.pending.push(String(id))
      }
      if (rows.length < LONGEST_STEP) break
      from = nextId(String(rows[rows.length - 1][0]))
    }
    groups.push({
      name,
      lastId: String(group.get('last-delivered-id')),
      entriesRead: group.get('entries-read') == null ? '-1' : String(group.get('entries-read')),
      pending,
      consumers: [...consumers.values()] as StreamConsumer[],
    })
  }
  return {
    form: 'stream',
    type: 'stream',
    entries: [],
    lastId: String(info.get('last-generated-id')),
    firstId: String(info.get('recorded-first-entry-id') ?? '0-0'),
    maxDeletedId: String(info.get('max-deleted-entry-id') ?? '0-0'),
    entriesAdded: info.get('entries-added') === undefined ? '-1' : String(info.get('entries-added')),
    groups,
  }
}

/** A whole stream by typed commands. */
export async function readStream(link: RedisLink, db: number, key: Buffer): Promise<StreamValue> {
  const entries: StreamEntry[] = []
  let state: StreamValue | undefined
  for await (const slice of readSlices(link, db, key, 'stream', false)) {
    for (const entry of slice.entries ?? []) entries.push(entry)
    state = slice.stream ?? state
  }
  return { ...state!, entries }
}
