import { Random } from '@ferrite-migrate/bench'
import type { RespWriter } from '@ferrite-migrate/protocol'
import { type Endpoint, RedisLink } from '@ferrite-migrate/redis'

type Command = (string | Buffer)[]

/** Every write command of Redis 7 once and again, on few enough keys that they meet. Unknown ones fail and do no harm. */
export function writeCommands(random: Random, n: number): Command[] {
  const pick = (...list: string[]): string => list[random.below(list.length)]
  const str = `s:${random.below(60)}`
  const num = `n:${random.below(20)}`
  const hash = `h:${random.below(30)}`
  const list = `l:${random.below(30)}`
  const other = `l:${random.below(30)}`
  const set = `set:${random.below(20)}`
  const set2 = `set:${random.below(20)}`
  const zset = `z:${random.below(20)}`
  const zset2 = `z:${random.below(20)}`
  const stream = `x:${random.below(10)}`
  const any = pick(str, num, hash, list, set, zset, stream)
  const far = Date.now() + 3_600_000
  const v = `v${n}`
  const commands: (() => Command | Command[])[] = [
    () => ['SET', str, v],
    () => ['SET', str, v, 'EX', '1000'],
    () => ['SET', str, v, 'PX', '900000', 'NX'],
    () => ['SET', str, v, 'KEEPTTL'],
    () => ['SET', str, v, 'XX', 'GET'],
    () => ['SET', str, v, 'PXAT', String(far)],
    () => ['SETEX', str, '1000', v],
    () => ['PSETEX', str, '1000000', v],
    () => ['SETNX', str, v],
    () => ['GETSET', str, v],
    () => ['GETEX', str, 'EX', '500'],
    () => ['GETDEL', str],
    () => ['MSET', str, v, `s:${random.below(60)}`, 'm'],
    () => ['MSETNX', `s:${random.below(60)}`, v, `s:${random.below(60)}`, 'm'],
    () => ['APPEND', str, 'tail'],
    () => ['SETRANGE', str, '5', 'RANGE'],
    () => ['SETBIT', str, '77', '1'],
    () => ['BITFIELD', str, 'INCRBY', 'u8', '0', '3'],
    () => ['BITOP', 'XOR', `s:${random.below(60)}`, str, `s:${random.below(60)}`],
    () => ['INCR', num],
    () => ['DECRBY', num, '7'],
    () => ['INCRBYFLOAT', num, '1.5'],
    () => ['DEL', num],
    () => ['PFADD', `pf:${random.below(3)}`, v],
    () => ['PFMERGE', 'pf:0', 'pf:1', 'pf:2'],
    () => ['HSET', hash, 'f', v, `g${random.below(9)}`, Buffer.from([0, 13, 10, 255, random.below(256)])],
    () => ['HSETNX', hash, `g${random.below(20)}`, v],
    () => ['HINCRBY', hash, 'count', '2'],
    () => ['HINCRBYFLOAT', hash, 'float', '0.1'],
    () => ['HDEL', hash, `g${random.below(9)}`],
    () => ['LPUSH', list, 'a', 'b', v],
    () => ['RPUSH', list, v, 'y'],
    () => ['LPUSHX', list, v],
    () => ['RPUSHX', list, v],
    () => ['LPOP', list, '2'],
    () => ['RPOP', list],
    () => ['LSET', list, '0', v],
    () => ['LREM', list, '1', 'a'],
    () => ['LTRIM', list, '0', '30'],
    () => ['LINSERT', list, 'BEFORE', 'b', 'ins'],
    () => ['LMOVE', list, other, 'LEFT', 'RIGHT'],
    () => ['RPOPLPUSH', list, other],
    () => ['LMPOP', '2', list, other, 'LEFT'],
    () => ['SADD', set, v, String(n), 'x'],
    () => ['SREM', set, 'x'],
    () => ['SPOP', set],
    () => ['SPOP', set, '2'],
    () => ['SMOVE', set, set2, 'x'],
    () => ['SUNIONSTORE', set, set2, `set:${random.below(20)}`],
    () => ['SINTERSTORE', set, set2, set],
    () => ['SDIFFSTORE', `set:${random.below(20)}`, set, set2],
    () => ['ZADD', zset, String(random.below(1000) / 7), v],
    () => ['ZADD', zset, 'GT', 'CH', String(n), 'm'],
    () => ['ZADD', zset, 'inf', 'top', '-inf', 'bottom'],
    () => ['ZINCRBY', zset, '0.3', 'm'],
    () => ['ZREM', zset, v],
    () => ['ZPOPMIN', zset],
    () => ['ZREMRANGEBYRANK', zset, '40', '-1'],
    () => ['ZREMRANGEBYSCORE', zset, '0', '1'],
    () => ['ZUNIONSTORE', zset, '2', zset, zset2],
    () => ['ZINTERSTORE', `z:${random.below(20)}`, '2', zset, zset2],
    () => ['ZDIFFSTORE', `z:${random.below(20)}`, '2', zset, zset2],
    () => ['ZRANGESTORE', `z:${random.below(20)}`, zset, '0', '5'],
    () => ['ZMPOP', '1', zset, 'MAX'],
    () => ['GEOADD', `geo:${random.below(3)}`, '13.361389', '38.115556', v],
    () => ['GEOSEARCHSTORE', 'geo:out', `geo:${random.below(3)}`, 'FROMLONLAT', '13', '38', 'BYRADIUS', '200', 'km'],
    () => ['XADD', stream, '*', 'a', v],
    () => ['XADD', stream, 'MAXLEN', '~', '50', '*', 'a', v, 'b', '2'],
    () => ['XTRIM', stream, 'MAXLEN', '20'],
    () => ['XGROUP', 'CREATE', stream, `g${random.below(2)}`, '0', 'MKSTREAM'],
    () => ['XREADGROUP', 'GROUP', `g${random.below(2)}`, `c${random.below(2)}`, 'COUNT', '3', 'STREAMS', stream, '>'],
    () => ['XGROUP', 'CREATECONSUMER', stream, 'g0', 'c9'],
    () => ['XAUTOCLAIM', stream, 'g0', 'c1', '0', '0', 'COUNT', '2'],
    () => ['XGROUP', 'SETID', stream, 'g0', '$'],
    () => ['RENAME', str, `s:${random.below(60)}`],
    () => ['RENAMENX', list, `l:${random.below(30)}`],
    () => ['COPY', str, `s:${random.below(60)}`, 'REPLACE'],
    () => ['COPY', str, str, 'DB', '1', 'REPLACE'],
    () => ['MOVE', str, '2'],
    () => ['EXPIRE', any, '1000'],
    () => ['PEXPIRE', any, '1000000', 'NX'],
    () => ['EXPIREAT', any, String(Math.floor(far / 1000))],
    () => ['PEXPIREAT', any, String(far)],
    () => ['EXPIRE', any, '-1'],
    () => ['PEXPIRE', str, '30'],
    () => ['PERSIST', any],
    () => ['DEL', any],
    () => ['UNLINK', str, list],
    () => ['SORT', list, 'ALPHA', 'STORE', `l:${random.below(30)}`],
    () => [
      ['MULTI'],
      ['INCR', num],
      ['RPUSH', list, v],
      ['SELECT', '1'],
      ['INCR', 'in-db1'],
      ['SELECT', '0'],
      ['EXEC'],
    ],
    () => [['MULTI'], ['LPOP', list], ['INCR', num], ['EXEC']],
    () => [
      'EVAL',
      "redis.call('INCR', KEYS[1]); redis.call('RPUSH', KEYS[2], ARGV[1]); return 1",
      '2',
      `n:${random.below(20)}`,
      list,
      v,
    ],
    () => [
      ['SELECT', '3'],
      ['SET', `k${random.below(20)}`, v],
      ['RPUSH', 'l', v],
      ['SELECT', '0'],
    ],
  ]
  const chosen = commands[random.below(commands.length)]()
  return Array.isArray(chosen[0]) ? (chosen as Command[]) : [chosen as Command]
}

/** Rare ones, run once each in the middle of a workload. */
export const RARE: Command[][] = [
  [['SWAPDB', '1', '3']],
  [['SELECT', '2'], ['FLUSHDB'], ['SET', 'after-flush', '1'], ['SELECT', '0']],
  [
    [
      'FUNCTION',
      'LOAD',
      'REPLACE',
      "#!lua name=lib\nredis.register_function('bump', function(keys) return redis.call('INCR', keys[1]) end)",
    ],
  ],
  [['FCALL', 'bump', '1', 'n:fn']],
  [
    ['HSET', 'hx', 'a', '1', 'b', '2'],
    ['HPEXPIRE', 'hx', '1000000', 'FIELDS', '1', 'a'],
    ['HEXPIRE', 'hx', '900', 'FIELDS', '1', 'b'],
  ],
  [
    ['SWAPDB', '0', '1'],
    ['SET', 'swapped', '1'],
    ['SWAPDB', '0', '1'],
  ],
]

function callAll(out: RespWriter, commands: readonly Command[]): number {
  for (const command of commands) out.call(...command)
  return commands.length
}

/** Issues the workload until `seconds` are over. Resolves with the number of commands. */
export async function runWorkload(
  endpoint: Endpoint,
  seconds: number,
  seed: number,
  rare = RARE,
  perSecond = 3000,
): Promise<number> {
  const link = await RedisLink.open(endpoint)
  const random = new Random(seed)
  const startedAt = Date.now()
  let n = 0
  let nextRare = 0
  try {
    while (Date.now() - startedAt < seconds * 1000) {
      if (n > ((Date.now() - startedAt) / 1000) * perSecond) {
        await new Promise((resolve) => setTimeout(resolve, 5))
        continue
      }
      await link.pipeline((out: RespWriter) => {
        let commands = 0
        for (let i = 0; i < 50; i++)
          for (const command of writeCommands(random, n++)) {
            out.call(...command)
            commands++
          }
        const share = (Date.now() - startedAt) / (seconds * 1000)
        if (nextRare < rare.length && share > (nextRare + 1) / (rare.length + 1))
          commands += callAll(out, rare[nextRare++])
        return commands
      })
    }
    // What a machine that stood still left out.
    while (nextRare < rare.length) await link.pipeline((out) => callAll(out, rare[nextRare++]))
    return n
  } finally {
    link.close()
  }
}
