import { type ItemsValue, MigrateError } from '@ferrite-migrate/contracts'
import { parseFerritePayload, type Reply, ReplyError, RespWriter, writeFerritePayload } from '@ferrite-migrate/protocol'

/** What the backend is asked instead of the client's command, and how its replies become the client's reply. */
export interface Plan {
  readonly commands: readonly (readonly (Buffer | string)[])[]
  /** Null = the first backend reply as it is. */
  readonly answer: ((replies: Reply[]) => Reply) | null
  /** Run after `commands`, unless their first reply is an error. */
  readonly afterwards?: readonly (readonly (Buffer | string)[])[]
  /** Looks at the replies and says what to do really. */
  readonly decide?: (replies: Reply[]) => Plan
}

/** State that all connections share. */
export interface World {
  /** `db:key` of HyperLogLogs, which Ferrite keeps as a type of their own. */
  readonly hyperLogLogs: Set<string>
  /** Writes under way by key, for lost updates. */
  readonly writers: Map<string, number>
}

export interface Client {
  readonly id: number
  db: number
  inMulti: boolean
}

/** Writes after which a key has no expiry any more. */
export const TTL_DROPPED = new Set([
  'HDEL',
  'SREM',
  'ZREM',
  'HSET',
  'HDEL',
  'HINCRBY',
  'HINCRBYFLOAT',
  'HMSET',
  'LPUSH',
  'RPUSH',
  'SADD',
  'SREM',
  'ZADD',
  'XADD',
  'INCR',
  'INCRBY',
  'DECR',
  'APPEND',
  'SETRANGE',
])
const UNKNOWN =
  /^(HP?EXPIRE(AT|TIME)?|HP?TTL|HPERSIST|HGETEX|HSETEX|HGETDEL|XSETID|JSON\.|BF\.|CF\.|FT\.|TS\.|CMS\.|TOPK\.)/
const CLOSED = new Set(['maxmemory', 'notify-keyspace-events'])
const WRONG_PAYLOAD = new ReplyError('ERR DUMP payload version or checksum are wrong')
const WRONG_TYPE = new ReplyError('WRONGTYPE Operation against a key holding the wrong kind of value')
const INFO_SERVER =
  '# Server\r\nredis_version:7.0.0\r\nferrite_version:0.1.0\r\ntcp_port:6379\r\nprocess_id:1\r\nnum_databases:16\r\nstorage_backend:Memory\r\n'
const PAGE_CURSOR = 9_300_000_000_000_000_000n

const say = (reply: Reply): Plan => ({ commands: [], answer: () => reply })
const text = (reply: Reply | Buffer | undefined): string =>
  Buffer.isBuffer(reply) ? reply.toString('latin1') : String(reply)
const forward = (argv: readonly (Buffer | string)[]): Plan => ({ commands: [argv], answer: null })

/** True for a complete payload of Ferrite's own format. */
function ownPayload(payload: Buffer): ItemsValue | null {
  try {
    return parseFerritePayload(payload)
  } catch (error) {
    if (error instanceof MigrateError) return null
    throw error
  }
}

function restore(argv: readonly Buffer[]): Plan {
  const [, key, ttlText, payload] = argv
  const value = payload === undefined ? null : ownPayload(payload)
  const flags = argv.slice(4).map((word) => word.toString('latin1').toUpperCase())
  const ttl = Number(ttlText?.toString('latin1'))
  if (value === null || !Number.isFinite(ttl)) return say(WRONG_PAYLOAD)
  const out: (Buffer | string)[][] = []
  const write = (): (Buffer | string)[][] => {
    if (value.type === 'string') return [['SET', key, value.items[0]]]
    const command = { list: 'RPUSH', set: 'SADD', hash: 'HSET', zset: 'ZADD' }[value.type]
    const items = value.type === 'zset' ? value.items.map((_, i) => value.items[i ^ 1]) : value.items
    return items.length === 0
      ? []
      : [
          ['DEL', key],
          [command, key, ...items],
        ]
  }
  // ABSTTL is accepted and ignored: an absolute time becomes a time to live of decades.
  if (ttl > 0) out.push(['PEXPIRE', key, String(ttl)])
  if (flags.includes('REPLACE'))
    return {
      commands: [...write(), ...out],
      answer: (replies) => replies.find((reply) => reply instanceof ReplyError) ?? 'OK',
    }
  const chain = [...write(), ...out]
  const script = `if redis.call('EXISTS', KEYS[1]) == 1 then return redis.error_reply('BUSYKEY Target key name already exists.') end return redis.status_reply('OK')`
  return { commands: [['EVAL', script, '1', key]], answer: null, afterwards: chain }
}

function dump(key: Buffer): Plan {
  const own = `local t = redis.call('TYPE', KEYS[1]).ok
if t == 'none' then return false end
if t == 'string' then return {'0', redis.call('GET', KEYS[1])} end
if t == 'list' then return {'1', unpack(redis.call('LRANGE', KEYS[1], 0, -1))} end
if t == 'hash' then return {'2', unpack(redis.call('HGETALL', KEYS[1]))} end
if t == 'set' then return {'3', unpack(redis.call('SMEMBERS', KEYS[1]))} end
if t == 'zset' then return {'4', unpack(redis.call('ZRANGE', KEYS[1], 0, -1, 'WITHSCORES'))} end
return redis.error_reply('ERR DUMP not supported for this data type')`
  const types = ['string', 'list', 'hash', 'set', 'zset'] as const
  return {
    commands: [['EVAL', own, '1', key]],
    answer: ([reply]) => {
      if (!Array.isArray(reply)) return reply
      const [type, ...items] = reply as Buffer[]
      const out = new RespWriter(1024)
      writeFerritePayload(out, { form: 'items', type: types[Number(text(type))], items })
      const argument = out.take()
      return Buffer.from(argument.subarray(argument.indexOf(10) + 1, argument.length - 2))
    },
  }
}

function scan(argv: readonly Buffer[]): Plan {
  const cursor = text(argv[1])
  if (BigInt(/^\d+$/.test(cursor) ? cursor : '0') > 9_223_372_036_854_775_807n)
    return say(new ReplyError('ERR value is not an integer or out of range'))
  let count = 10
  let match: Buffer | undefined
  for (let i = 2; i + 1 < argv.length; i += 2) {
    const word = text(argv[i]).toUpperCase()
    if (word === 'COUNT') count = Number(text(argv[i + 1]))
    else if (word === 'MATCH') match = argv[i + 1]
  }
  return {
    commands: [['DBSIZE'], ['KEYS', match ?? '*']],
    answer: ([size, keys]) => {
      const all = keys as Buffer[]
      // Only a page as large as the database is whole; others skip keys between two pages.
      if (count >= Number(size) && match === undefined) return [Buffer.from('0'), all]
      const from = Number(cursor)
      const page = all.slice(from, from + count).filter((_, i) => i % 2 === 0)
      const next = from + count * 2
      if (next >= all.length) return [Buffer.from('0'), page]
      return [Buffer.from(next > count * 6 ? String(PAGE_CURSOR + BigInt(next)) : String(next)), page]
    },
  }
}

function info(argv: readonly Buffer[]): Plan {
  const section = argv[1] === undefined ? 'all' : text(argv[1]).toLowerCase()
  if (section === 'server') return say(Buffer.from(INFO_SERVER))
  if (section === 'replication') return say(Buffer.from(''))
  return {
    commands: [['INFO', 'keyspace']],
    answer: ([keyspace]) => {
      const keys = text(keyspace).replace(/expires=\d+/g, 'expires=0')
      if (section === 'keyspace') return Buffer.from(keys)
      return Buffer.from(`${INFO_SERVER}\r\n# Memory\r\nused_memory:0\r\n\r\n${keys}`)
    },
  }
}

/** A write that another connection's write under way swallows: read, then written back over the other's. */
function racing(world: World, client: Client, name: string, argv: readonly Buffer[]): Plan | null {
  const key = `${client.db}:${text(argv[1])}`
  const holder = world.writers.get(key)
  if (holder !== undefined && holder !== client.id) {
    if (name === 'INCR') return { commands: [['GET', argv[1]]], answer: ([reply]) => Number(text(reply ?? '0')) + 1 }
    return { commands: [['LLEN', argv[1]]], answer: ([reply]) => Number(reply) + argv.length - 2 }
  }
  world.writers.set(key, client.id)
  return null
}

/** Decides what a command of a client does. `known` holds the backend's command names. */
export function behave(
  world: World,
  client: Client,
  name: string,
  argv: readonly Buffer[],
  known: ReadonlySet<string>,
): Plan {
  const key = argv[1]
  const id = key === undefined ? '' : `${client.db}:${text(key)}`
  const hll = world.hyperLogLogs.has(id)
  const sub = key === undefined ? '' : text(key).toUpperCase()
  if (UNKNOWN.test(name) || !known.has(name))
    return say(new ReplyError(`ERR unknown command '${name}', with args beginning with: `))
  switch (name) {
    case 'RESTORE':
      world.hyperLogLogs.delete(id)
      return restore(argv)
    case 'DUMP':
      return hll ? say(new ReplyError('ERR DUMP not supported for this data type')) : dump(key)
    case 'SCAN':
      return scan(argv)
    case 'INFO':
      return info(argv)
    case 'SWAPDB':
    case 'REPLICAOF':
    case 'SLAVEOF':
      return say('OK')
    case 'SET':
      if (argv.slice(3).some((word) => /^(EXAT|PXAT|KEEPTTL)$/i.test(text(word))))
        return say(new ReplyError('ERR syntax error'))
      world.hyperLogLogs.delete(id)
      return forward(argv)
    case 'GET':
    case 'STRLEN':
    case 'GETRANGE':
      return hll ? say(WRONG_TYPE) : forward(argv)
    case 'DEL':
    case 'UNLINK':
      for (const each of argv.slice(1)) world.hyperLogLogs.delete(`${client.db}:${text(each)}`)
      return forward(argv)
    case 'FLUSHALL':
    case 'FLUSHDB':
      world.hyperLogLogs.clear()
      return forward(argv)
    case 'PFADD':
    case 'PFCOUNT':
      if (hll) return forward(argv)
      return {
        commands: [['EXISTS', key]],
        answer: null,
        decide: ([there]) => {
          if (there === 1) return say(WRONG_TYPE)
          if (name === 'PFADD') world.hyperLogLogs.add(id)
          return forward(argv)
        },
      }
    case 'LPUSH': {
      const reversed = [argv[0], key, ...argv.slice(2).reverse()]
      return { commands: [reversed, ['PERSIST', key]], answer: ([reply]) => reply }
    }
    case 'RPUSH':
    case 'INCR': {
      const lost = client.inMulti ? null : racing(world, client, name, argv)
      return lost ?? { commands: [argv, ['PERSIST', key]], answer: ([reply]) => reply }
    }
    case 'PTTL':
      return {
        commands: [argv],
        answer: ([reply]) => (typeof reply === 'number' && reply > 0 ? reply - (reply % 1000) : reply),
      }
    case 'XDEL':
    case 'XTRIM':
      return {
        commands: [argv, ['EVAL', `if redis.call('XLEN', KEYS[1]) == 0 then redis.call('DEL', KEYS[1]) end`, '1', key]],
        answer: ([reply]) => reply,
      }
    case 'XGROUP': {
      const at = argv.findIndex((word, i) => i > 4 && /^ENTRIESREAD$/i.test(text(word)))
      return forward(at < 0 ? argv : [...argv.slice(0, at), ...argv.slice(at + 2)])
    }
    case 'FUNCTION':
      return say(sub === 'LIST' ? [] : new ReplyError("ERR WASM functions require the 'wasm' feature to be enabled"))
    case 'MODULE':
      return say(sub === 'LIST' ? [] : new ReplyError('ERR modules are not supported'))
    case 'EVAL':
      return /redis\.p?call\(\s*['"](DUMP|PEXPIREAT)['"]/i.test(text(argv[1]))
        ? say(new ReplyError('ERR unknown command inside a script'))
        : forward(argv)
    case 'CONFIG':
      if (sub === 'SET' && CLOSED.has(text(argv[2]).toLowerCase()))
        return say(new ReplyError(`ERR CONFIG SET for '${text(argv[2])}' requires a restart`))
      if (sub === 'GET' && CLOSED.has(text(argv[2]).toLowerCase())) return say([])
      return forward(argv)
    case 'CLIENT':
      return sub === 'PAUSE' ? say('OK') : forward(argv)
    case 'DEBUG':
      if (sub === 'DIGEST-VALUE') return say([])
      return say(sub === 'DIGEST' ? '0'.repeat(40) : 'OK')
    case 'ROLE':
      return say([Buffer.from('master'), 0, []])
  }
  if (TTL_DROPPED.has(name) && !client.inMulti)
    return { commands: [argv, ['PERSIST', key]], answer: ([reply]) => reply }
  return forward(argv)
}
