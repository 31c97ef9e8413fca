import { connect } from 'node:net'
import { parseFerritePayload, type Reply, ReplyError } from '@ferrite-migrate/protocol'
import { parseEndpoint, RedisLink } from '@ferrite-migrate/redis'
import { TestServer, until } from '@ferrite-migrate/servers'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { FerriteEmulator } from '../dist/index.js'

let backend: TestServer
let redis: RedisLink
let emulator: FerriteEmulator
let link: RedisLink
beforeAll(async () => {
  backend = await TestServer.start()
  redis = await RedisLink.open(parseEndpoint(backend.url))
  emulator = await FerriteEmulator.start(parseEndpoint(backend.url))
  link = await RedisLink.open(parseEndpoint(emulator.url))
})
afterAll(async () => {
  link?.close()
  redis?.close()
  await emulator?.stop()
  await backend?.stop()
})
beforeEach(async () => {
  await link.call('FLUSHALL')
})

async function ask(...argv: (string | number | Buffer)[]): Promise<Reply> {
  const [reply] = await link.pipeline((out) => {
    out.call(...argv)
    return 1
  })
  return reply
}
const text = (reply: Reply): string => (Array.isArray(reply) ? reply.map(text).join(',') : String(reply))
const pair = (type: number, ...items: string[]): Buffer =>
  Buffer.concat([
    Buffer.from([type]),
    ...items.map((item) => Buffer.concat([Buffer.from(Uint32Array.of(item.length).buffer), Buffer.from(item)])),
  ])

describe('the emulator behaves as Ferrite was measured to', () => {
  it('RESTORE of a Redis payload: strings are stored wrong, everything else is refused', async () => {
    await redis.call('SET', 'src', 'hello')
    const dump = (await redis.call('DUMP', 'src')) as Buffer
    expect(await ask('RESTORE', 'r', '0', dump)).toBe('OK')
    expect((await ask('GET', 'r')) as Buffer).toEqual(dump.subarray(1))
    await redis.call('RPUSH', 'list', 'a')
    expect(text(await ask('RESTORE', 'l', '0', (await redis.call('DUMP', 'list')) as Buffer))).toContain(
      'DUMP payload version or checksum are wrong',
    )
  })
  it('RESTORE of its own format: value and relative TTL in one step, REPLACE, ABSTTL ignored', async () => {
    expect(await ask('RESTORE', 'h', '5000', pair(2, 'f', 'v'))).toBe('OK')
    expect(text(await ask('HGETALL', 'h'))).toBe('f,v')
    expect(await ask('PTTL', 'h')).toBeGreaterThan(3000)
    expect(text(await ask('RESTORE', 'h', '0', pair(2, 'g', 'w')))).toContain('BUSYKEY')
    expect(await ask('RESTORE', 'h', '0', pair(2, 'g', 'w'), 'REPLACE')).toBe('OK')
    expect(text(await ask('HGETALL', 'h'))).toBe('g,w')
    await ask('RESTORE', 'far', Date.now() + 1000, pair(1, 'x'), 'ABSTTL')
    expect(await ask('PTTL', 'far')).toBeGreaterThan(1e12)
  })
  it('DUMP answers its own format, and refuses streams and HyperLogLogs', async () => {
    await ask('ZADD', 'z', '0.1', 'm')
    expect(parseFerritePayload((await ask('DUMP', 'z')) as Buffer)).toEqual({
      form: 'items',
      type: 'zset',
      items: [Buffer.from('m'), Buffer.from('0.1')],
    })
    await ask('XADD', 's', '1-1', 'a', 'b')
    await ask('PFADD', 'hll', 'a')
    for (const key of ['s', 'hll']) expect(text(await ask('DUMP', key))).toContain('DUMP not supported')
  })
  it.each([
    ['HSET', 'f', 'v'],
    ['RPUSH', 'a'],
    ['SADD', 'a'],
    ['ZADD', '1', 'a'],
    ['INCR'],
    ['APPEND', 'x'],
    ['SETRANGE', '0', 'x'],
    ['XADD', '*', 'a', 'b'],
  ])('%s drops the TTL', async (command, ...rest) => {
    await ask(command, 'k', ...rest)
    await ask('PEXPIRE', 'k', '100000')
    await ask(command, 'k', ...rest)
    expect(await ask('PTTL', 'k')).toBe(-1)
  })
  it('HDEL, SREM and ZREM drop the TTL', async () => {
    for (const [add, remove, ...items] of [
      ['HSET', 'HDEL', 'a', '1', 'b', '2'],
      ['SADD', 'SREM', 'a', 'b'],
      ['ZADD', 'ZREM', '1', 'a', '2', 'b'],
    ]) {
      await ask('DEL', 'k')
      await ask(add, 'k', ...items)
      await ask('PEXPIRE', 'k', '100000')
      await ask(remove, 'k', 'a')
      expect(await ask('PTTL', 'k')).toBe(-1)
    }
  })
  it('loses updates of one key by several connections, keeps those of one', async () => {
    const links = await Promise.all(Array.from({ length: 8 }, () => RedisLink.open(parseEndpoint(emulator.url))))
    await Promise.all(
      links.map(async (one) => {
        for (let i = 0; i < 500; i++) await one.call('RPUSH', 'shared', 'x')
      }),
    )
    expect(await ask('LLEN', 'shared')).toBeLessThan(4000)
    for (let i = 0; i < 100; i++) await ask('INCR', 'alone')
    expect(text(await ask('GET', 'alone'))).toBe('100')
    for (const one of links) one.close()
  })
  it('LPUSH of several stores them in the order given, of one as Redis', async () => {
    await ask('LPUSH', 'l', 'a', 'b', 'c')
    await ask('LPUSH', 'l', 'z')
    expect(text(await ask('LRANGE', 'l', '0', '-1'))).toBe('z,a,b,c')
  })
  it('SCAN: pages skip keys, cursors above 2^63-1 are handed out and refused, one large page is whole', async () => {
    await link.pipeline((out) => {
      for (let i = 0; i < 5000; i++) out.call('SET', `k${i}`, '1')
      return 5000
    })
    let cursor = '0'
    let seen = 0
    let refused = false
    do {
      const page = await ask('SCAN', cursor, 'COUNT', '100')
      if (page instanceof ReplyError) {
        refused = true
        break
      }
      const [next, keys] = page as [Buffer, Buffer[]]
      cursor = String(next)
      seen += keys.length
    } while (cursor !== '0')
    expect(refused).toBe(true)
    expect(seen).toBeLessThan(5000)
    expect(((await ask('SCAN', '0', 'COUNT', '10000')) as Reply[])[1]).toHaveLength(5000)
  })
  it('SET knows EX, PX, NX, XX and not EXAT, PXAT, KEEPTTL', async () => {
    expect(await ask('SET', 'a', '1', 'PX', '1000', 'NX')).toBe('OK')
    for (const option of [['EXAT', '9999999999'], ['PXAT', '9999999999999'], ['KEEPTTL']])
      expect(text(await ask('SET', 'a', '1', ...option))).toContain('syntax error')
    await ask('PEXPIREAT', 'a', '1')
    expect(await ask('EXISTS', 'a')).toBe(0)
  })
  it('PTTL is told in whole seconds, PEXPIRETIME exactly', async () => {
    await ask('SET', 'k', 'v')
    const end = Date.now() + 3_600_555
    await ask('PEXPIREAT', 'k', String(end))
    expect(await ask('PTTL', 'k')).toBe(3_600_000)
    expect(await ask('PEXPIRETIME', 'k')).toBe(end)
    await ask('SET', 'k', 'v', 'PX', '700')
    expect(await ask('PTTL', 'k')).toBe(0)
    expect(await ask('PTTL', 'none')).toBe(-2)
  })
  it('ignores SELECT inside MULTI, and runs the rest of a transaction after a refused command', async () => {
    await ask('MULTI')
    await ask('SELECT', '1')
    await ask('SET', 'm', '1')
    await ask('NOSUCH')
    expect(Array.isArray(await ask('EXEC'))).toBe(true)
    expect(await ask('EXISTS', 'm')).toBe(1)
  })
  it('SWAPDB answers OK and does nothing', async () => {
    await ask('SET', 'a', '1')
    expect(await ask('SWAPDB', '0', '1')).toBe('OK')
    expect(await ask('EXISTS', 'a')).toBe(1)
  })
  it('streams: no XSETID, ENTRIESREAD ignored, an emptied stream is gone', async () => {
    await ask('XADD', 's', '5-1', 'a', 'b')
    expect(text(await ask('XSETID', 's', '9-9'))).toContain('unknown command')
    expect(await ask('XGROUP', 'CREATE', 's', 'g', '0', 'ENTRIESREAD', '3')).toBe('OK')
    await ask('XGROUP', 'CREATECONSUMER', 's', 'g', 'c')
    await ask('XCLAIM', 's', 'g', 'c', '0', '5-1', 'FORCE', 'JUSTID')
    expect(text(((await ask('XPENDING', 's', 'g')) as Reply[])[0])).toBe('1')
    await ask('XDEL', 's', '5-1')
    expect(await ask('EXISTS', 's')).toBe(0)
  })
  it('HyperLogLogs are a type of their own', async () => {
    await ask('PFADD', 'own', 'a')
    expect(text(await ask('GET', 'own'))).toContain('WRONGTYPE')
    await ask('SET', 'copied', 'HYLLxxxxxxxxxxxxxxxx')
    expect(text(await ask('PFCOUNT', 'copied'))).toContain('WRONGTYPE')
  })
  it('keeps scores exactly', async () => {
    await ask('ZADD', 'z', 'inf', 'a', '-inf', 'b', '3.0000000000000004', 'c', '0.1', 'd')
    const scores = (await ask('ZRANGE', 'z', '0', '-1', 'WITHSCORES')) as Buffer[]
    expect(scores.filter((_, i) => i % 2).map((score) => Number(String(score).replace('inf', 'Infinity')))).toEqual([
      -Infinity,
      0.1,
      3.0000000000000004,
      Infinity,
    ])
  })
  it('does not know hash-field expiry, functions, modules', async () => {
    for (const command of [
      ['HEXPIRE', 'h', '1', 'FIELDS', '1', 'f'],
      ['HPEXPIREAT', 'h', '1', 'FIELDS', '1', 'f'],
      ['JSON.SET', 'k', '.', '1'],
      ['BF.ADD', 'k', 'x'],
    ])
      expect(text(await ask(...command))).toContain('unknown command')
    expect(await ask('FUNCTION', 'LOAD', '#!lua name=x')).toBeInstanceOf(ReplyError)
    expect(await ask('FUNCTION', 'LIST')).toEqual([])
    expect(await ask('MODULE', 'LIST')).toEqual([])
  })
  it('Lua: common commands work, DUMP and PEXPIREAT are unknown', async () => {
    expect(await ask('EVAL', "return redis.call('SET', 'a', '1')", '0')).toBe('OK')
    for (const name of ['DUMP', 'PEXPIREAT'])
      expect(await ask('EVAL', `return redis.call('${name}', 'a')`, '0')).toBeInstanceOf(ReplyError)
  })
  it('CONFIG: maxmemory and notifications can neither be read nor set', async () => {
    for (const name of ['maxmemory', 'notify-keyspace-events']) {
      expect(text(await ask('CONFIG', 'SET', name, '1'))).toContain('requires a restart')
      expect(await ask('CONFIG', 'GET', name)).toEqual([])
    }
  })
  it('PSYNC answers FULLRESYNC and then nothing; REPLICAOF answers OK', async () => {
    expect(await ask('REPLICAOF', '127.0.0.1', '1')).toBe('OK')
    const socket = connect(emulator.port, '127.0.0.1')
    let got = ''
    socket.on('data', (data) => (got += data.toString()))
    socket.write('*3\r\n$5\r\nPSYNC\r\n$1\r\n?\r\n$2\r\n-1\r\n')
    await until(() => got.endsWith('\r\n'), 'an answer')
    await new Promise((resolve) => setTimeout(resolve, 300))
    socket.destroy()
    expect(got).toMatch(/^\+FULLRESYNC 8371445e\w+ 0\r\n$/)
  })
  it('CLIENT PAUSE WRITE answers OK and pauses nothing', async () => {
    expect(await ask('CLIENT', 'PAUSE', '60000', 'WRITE')).toBe('OK')
    const startedAt = Date.now()
    await ask('SET', 'a', '1')
    expect(Date.now() - startedAt).toBeLessThan(30_000)
  })
  it('INFO says expires=0, no memory, no replication; DEBUG digests say nothing', async () => {
    await ask('SET', 'a', '1', 'EX', '100')
    expect(text(await ask('INFO', 'keyspace'))).toMatch(/db0:keys=1,expires=0/)
    expect(text(await ask('INFO'))).toMatch(/ferrite_version:0\.1\.0[\s\S]*used_memory:0/)
    expect(text(await ask('INFO', 'replication'))).toBe('')
    expect(await ask('DEBUG', 'DIGEST-VALUE', 'a')).toEqual([])
    expect(text(await ask('DEBUG', 'DIGEST'))).toBe('0'.repeat(40))
  })
  it('has 16 databases', async () => {
    expect(await ask('SELECT', '16')).toBeInstanceOf(ReplyError)
  })
  it('repeats a protocol error for ever after a stray line end', async () => {
    const socket = connect(emulator.port, '127.0.0.1')
    let got = 0
    socket.on('data', (data) => (got += data.length))
    socket.write('\r\n*1\r\n$4\r\nPING\r\n')
    await until(() => got > 0, 'an error')
    const before = got
    await until(() => got > before, 'the error again')
    socket.destroy()
  })
})
