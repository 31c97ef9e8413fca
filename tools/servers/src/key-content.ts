import type { Reply } from '@ferrite-migrate/protocol'
import { ReplyError } from '@ferrite-migrate/protocol'

/** Asks one server; error replies are thrown. */
export type Ask = (...argv: readonly (string | Buffer)[]) => Promise<Reply>

/** The key went away, or became of another type, while it was read. */
export class KeyChangedError extends Error {
  constructor(key: Buffer) {
    super(`${key.toString('latin1')} changed while it was read`)
  }
}

/**
 * What a value is, as a list of strings that is equal for equal values, whatever the server, the encoding or the order of
 * elements that have none: fields sorted, scores by their bits, ends of hash fields in ms, streams with groups and pending
 * entries. Of a type that only its server understands, the serialized bytes.
 * @throws KeyChangedError when it is not of that type any more
 */
export async function keyContent(ask: Ask, key: Buffer, type: string): Promise<Buffer[]> {
  try {
    const content = await contentOf(ask, key, type)
    // The type is asked for before the content: in between, the key may have gone.
    if (!content.includes(null)) return content as Buffer[]
  } catch (error) {
    if (!(error instanceof ReplyError) || !/^WRONGTYPE|no such key/i.test(error.message)) throw error
  }
  throw new KeyChangedError(key)
}

async function contentOf(ask: Ask, key: Buffer, type: string): Promise<(Buffer | null)[]> {
  switch (type) {
    case 'none':
      return []
    case 'string':
      return [(await ask('GET', key)) as Buffer | null]
    case 'list':
      return (await ask('LRANGE', key, '0', '-1')) as Buffer[]
    case 'set':
      return ((await ask('SMEMBERS', key)) as Buffer[]).sort(Buffer.compare)
    case 'zset':
      return sortedPairs((await ask('ZRANGE', key, '0', '-1', 'WITHSCORES')) as Buffer[], scoreBits)
    case 'hash':
      return hashContent(ask, key)
    case 'stream':
      return streamContent(ask, key)
    default:
      return [(await ask('DUMP', key)) as Buffer | null]
  }
}

async function hashContent(ask: Ask, key: Buffer): Promise<Buffer[]> {
  const all = (await ask('HGETALL', key)) as Buffer[]
  const fields = all.filter((_, i) => i % 2 === 0)
  const content = sortedPairs(all, (value) => value)
  if (fields.length === 0) return content
  const ends = await ask('HPEXPIRETIME', key, 'FIELDS', String(fields.length), ...fields).catch((error: unknown) => {
    // A server without the command has no such ends.
    if (error instanceof ReplyError && /unknown command/i.test(error.message)) return []
    throw error
  })
  const ending = (ends as number[]).flatMap((end, i) => (end > 0 ? [fields[i], Buffer.from(String(end))] : []))
  return [...content, ...sortedPairs(ending, (value) => value)]
}

async function streamContent(ask: Ask, key: Buffer): Promise<Buffer[]> {
  const content: Buffer[] = []
  const add = (...words: readonly unknown[]): void => {
    content.push(Buffer.from(words.map(String).join(' ')))
  }
  for (const [id, fields] of (await ask('XRANGE', key, '-', '+')) as [Buffer, Buffer[]][]) content.push(id, ...fields)
  add('last', named((await ask('XINFO', 'STREAM', key)) as Reply[]).get('last-generated-id'))
  for (const one of (await ask('XINFO', 'GROUPS', key)) as Reply[][]) {
    const group = named(one)
    const name = group.get('name') as Buffer
    add('group', name, group.get('last-delivered-id'))
    const count = String(group.get('pending'))
    if (count === '0') continue
    for (const [id, consumer, , deliveries] of (await ask('XPENDING', key, name, '-', '+', count)) as Reply[][])
      add('pending', id, consumer, deliveries)
  }
  return content
}

function named(reply: readonly Reply[]): Map<string, Reply> {
  const map = new Map<string, Reply>()
  for (let i = 0; i + 1 < reply.length; i += 2) map.set(String(reply[i]), reply[i + 1])
  return map
}

function sortedPairs(flat: readonly Buffer[], value: (text: Buffer) => Buffer): Buffer[] {
  const pairs: [Buffer, Buffer][] = []
  for (let i = 0; i + 1 < flat.length; i += 2) pairs.push([flat[i], value(flat[i + 1])])
  return pairs.sort(([a], [b]) => Buffer.compare(a, b)).flat()
}

/** Versions write the same score in different digits. */
function scoreBits(text: Buffer): Buffer {
  const words = String(text)
  const bits = Buffer.alloc(8)
  bits.writeDoubleBE(
    words === 'inf' ? Number.POSITIVE_INFINITY : words === '-inf' ? Number.NEGATIVE_INFINITY : Number(words),
  )
  return bits
}
