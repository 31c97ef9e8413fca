import { chmodSync, mkdtempSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { deflateSync, gzipSync } from 'node:zlib'
import { testContext, testSource } from '@ferrite-migrate/conformance'
import { type MigrateError, type Source, stringRecord } from '@ferrite-migrate/contracts'
import { isOwnKey, parseEndpoint, RedisLink } from '@ferrite-migrate/redis'
import { freePort, memcachedMissing, TestMemcached, TestServer, until } from '@ferrite-migrate/servers'
import { createSource } from '@ferrite-migrate/source-memcached'
import { defaultRegistry, Migration, type MigrationConfig, type MigrationReport } from 'ferrite-migrate'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { clientValue } from '../dist/client-value.js'
import { ItemTable } from '../dist/item-table.js'
import { parseLine } from '../dist/key-dump.js'

/** What is used of memjs, which brings no types. */
interface MemjsClient {
  set(key: string, value: Buffer, options: { expires: number }): Promise<boolean>
  close(): void
}
const memjs = createRequire(import.meta.resolve('@ferrite-migrate/source-memcached'))('memjs') as {
  Client: { create(server: string, options: Record<string, unknown>): MemjsClient }
}
const missing = memcachedMissing()
const stops: (() => Promise<unknown>)[] = []
afterEach(async () => {
  for (const stop of stops.splice(0).reverse()) await stop()
})

async function memcached(...args: string[]): Promise<TestMemcached> {
  const server = await TestMemcached.start(args)
  stops.push(() => server.stop())
  return server
}

let target: TestServer
beforeEach(async () => {
  target = await TestServer.start()
  stops.push(() => target.stop())
})

async function call(...argv: (string | Buffer)[]): Promise<unknown> {
  const link = await RedisLink.open(parseEndpoint(target.url))
  try {
    return await link.call(...argv)
  } finally {
    link.close()
  }
}

function migration(source: string, config: Partial<MigrationConfig> = {}): Migration {
  const stateDir = mkdtempSync(join(tmpdir(), 'fm-mc-'))
  return new Migration(
    { source, target: target.url, mode: 'snapshot', stateDir, ...config },
    { registry: defaultRegistry() },
  )
}

/** The answer to `stats`. */
async function stats(port: number): Promise<string> {
  const socket = connect(port, '127.0.0.1')
  socket.write('stats\r\nquit\r\n')
  let text = ''
  for await (const data of socket) text += String(data)
  return text
}

const SOURCE_OPTIONS = {
  flags: 'drop',
  protocol: 'auto',
  'batch-size': 1000,
  'max-rate': 0,
  'poll-interval': 200,
  'sync-timeout': 1000,
  'connect-timeout': 1000,
}

const moved = (source: string, sourceOptions = {}): Promise<MigrationReport> =>
  migration(source, { verify: true, sourceOptions }).start()

describe.skipIf(missing !== null)(`memcached${missing === null ? '' : ` (skipped: ${missing})`}`, () => {
  testSource({ describe, it }, 'memcached', async () => {
    const server = await memcached()
    await server.set('a', 'text')
    await server.set('binary', Buffer.from([0, 13, 10, 255]))
    // The server's clock is up to two seconds behind, never ahead.
    const endsAt = Date.now() + 1_000_000
    await server.set('ends', 'x', 0, 1000)
    const open = (url: string): Promise<Source> =>
      createSource(testContext(url, { ...SOURCE_OPTIONS, 'batch-size': 2 }))
    return {
      source: await open(server.url),
      expected: [
        stringRecord('a', 'text'),
        stringRecord('binary', Buffer.from([0, 13, 10, 255])),
        stringRecord('ends', 'x', { expireAt: endsAt }),
      ],
      types: ['string'],
      change: (key, value) => server.set(key, value),
      broken: async () => open(`memcached://127.0.0.1:${await freePort()}`),
    }
  })

  it('is carried with expiries, odd keys, large and empty values, and verified', async () => {
    const server = await memcached('-I', '20m', '-m', '200')
    for (let i = 0; i < 5000; i++) if (i % 1000 === 0) await server.set(`key:${i}`, `v${i}`, i % 7)
    await server.call(...Array.from({ length: 5000 }, (_, i) => `set k:${i} 0 ${i % 2 ? 0 : 5000} 2\r\nv${i % 10}`))
    await server.set('empty', '')
    await server.set('large', Buffer.alloc(5 << 20, 120))
    await server.set('huge', Buffer.alloc(18 << 20, 121))
    await server.set('absolute', 'x', 0, Math.floor(Date.now() / 1000) + 86_400 * 60)
    const odd = Buffer.from([1, 32, 200, 10, 13, 0, 37])
    await server.call(`ms ${odd.toString('base64')} 1 b\r\nx`)
    await server.call('set number 0 0 1\r\n9', 'incr number 1', 'decr number 5')
    const report = await moved(server.url)
    expect(report.verification?.differences).toEqual([])
    expect(report.status.keysWritten).toBe(5000 + 5 + 4 + 2)
    expect(await call('GET', odd)).toEqual(Buffer.from('x'))
    expect(await call('STRLEN', 'huge')).toBe(18 << 20)
    expect(String(await call('GET', 'empty'))).toBe('')
    expect(Number(await call('TTL', 'k:2'))).toBeGreaterThan(4500)
    expect(Number(await call('TTL', 'absolute'))).toBeGreaterThan(86_400 * 59)
    expect(String(await call('GET', 'number')).trim()).toBe('5')
  })

  it('of several servers is one data set, each server a shard', async () => {
    const [a, b] = [await memcached(), await memcached()]
    await a.set('a', '1')
    await b.set('b', '2')
    const report = await moved(`${a.url},127.0.0.1:${b.port}`)
    expect(report.verification).toMatchObject({ equal: true, compared: 2 })
    expect(((await call('KEYS', '*')) as Buffer[]).map(String).sort()).toEqual(['a', 'b'])
    const transform = join(mkdtempSync(join(tmpdir(), 'fm-mc-')), 'rules.yaml')
    writeFileSync(transform, 'transformations:\n  keys:\n    - {type: rename, from: "^[ab]$", to: "one"}\n')
    await expect(migration(`${a.url},127.0.0.1:${b.port}`, { transform }).start()).rejects.toMatchObject({
      code: 'FM_TRANSFORM_COLLISION',
    })
  })

  it('of several servers keeps the items of all, also where what is only at the target is deleted', async () => {
    const [a, b] = [await memcached(), await memcached()]
    for (let i = 0; i < 300; i++) await a.set(`a:${i}`, '1')
    await b.set('b', '2')
    await call('SET', 'extra', 'v')
    await migration(`${a.url},127.0.0.1:${b.port}`, { deleteExtra: true }).start()
    expect(await call('DBSIZE')).toBe(301)
    expect(await call('EXISTS', 'extra', 'b')).toBe(1)
  })

  it.each([
    ['twice', 2],
    ['always', Number.POSITIVE_INFINITY],
  ])('whose list of keys breaks off %s is listed anew, or given up', async (_times, breaks) => {
    const server = await memcached()
    for (let i = 0; i < 20_000; i += 5000)
      await server.call(...Array.from({ length: 5000 }, (_, n) => `set k:${i + n} 0 0 2\r\nv${n % 10}`))
    let broken = 0
    const proxy = createServer((client) => {
      const upstream = connect(server.port, '127.0.0.1')
      let listing = false
      let passed = 0
      client.on('data', (data) => {
        listing ||= data.includes('lru_crawler metadump')
        upstream.write(data)
      })
      upstream.on('data', (data) => {
        if (listing && broken < breaks && (passed += data.length) > 200_000) {
          broken++
          client.destroy()
          upstream.destroy()
        } else client.write(data)
      })
      for (const [one, other] of [
        [client, upstream],
        [upstream, client],
      ]) {
        one.on('error', () => undefined)
        one.on('close', () => other.destroy())
      }
    })
    await new Promise<void>((listening) => proxy.listen(0, '127.0.0.1', listening))
    stops.push(async () => proxy.close())
    const { port } = proxy.address() as AddressInfo
    const run = migration(`memcached://127.0.0.1:${port}`, { sourceOptions: { 'sync-timeout': 1000 } }).start()
    if (breaks === 2) {
      expect((await run).status.keysWritten).toBe(20_000)
      expect([broken, await call('DBSIZE')]).toEqual([2, 20_000])
    } else await expect(run).rejects.toMatchObject({ code: 'FM_CONNECT_LOST' })
  })

  it('is carried with the ends that items have when they are read, not when they were listed', async () => {
    const server = await memcached()
    await server.call(...Array.from({ length: 3000 }, (_, n) => `set k:${n} 0 4 1\r\nv`))
    const run = migration(server.url, { sourceOptions: { 'max-rate': 800, 'batch-size': 100 } }).start()
    const stat = async (name: string): Promise<number> =>
      Number(new RegExp(`STAT ${name} (\\d+)`).exec(await stats(server.port))?.[1])
    await until(
      async () => (await stat('lru_crawler_starts')) >= 2 && (await stat('lru_crawler_running')) === 0,
      'two lists',
    )
    // Both say that each ends in four seconds.
    await server.call(...Array.from({ length: 3000 }, (_, n) => `touch k:${n} 1000`))
    await run
    let renewed = 0
    for (let n = 0; n < 3000; n++) if (Number(await call('TTL', `k:${n}`)) > 900) renewed++
    // All but those that were read before.
    expect(renewed).toBeGreaterThan(2000)
  })

  it('is read whole again, as after a target was lost', async () => {
    const server = await memcached()
    await server.call(...Array.from({ length: 3000 }, (_, n) => `set k:${n} 0 0 1\r\nv`))
    const source = await createSource(testContext(server.url, SOURCE_OPTIONS))
    for (const _time of [1, 2]) {
      let keys = 0
      const signal = AbortSignal.timeout(60_000)
      for await (const event of source.shards[0].read({ signal, changes: false, wants: () => true }))
        if (event.kind === 'snapshot') keys += event.records.length
      expect(keys).toBe(3000)
    }
    await source[Symbol.asyncDispose]()
  })

  it('whose list and items are cut off together is given up, not taken for whole', async () => {
    const server = await memcached()
    await server.call(...Array.from({ length: 20_000 }, (_, n) => `set k:${n} 0 0 1\r\nv`))
    let down = false
    const sockets = new Set<Socket>()
    const proxy = createServer((client) => {
      client.on('error', () => undefined)
      if (down) return void client.destroy()
      const upstream = connect(server.port, '127.0.0.1')
      for (const socket of [client, upstream]) sockets.add(socket.on('error', () => undefined))
      let listing = false
      client.on('data', (data) => {
        listing ||= data.includes('lru_crawler metadump')
        upstream.write(data)
      })
      // The list comes slowly, so that it is under way when everything is cut.
      upstream.on('data', async (data) => {
        upstream.pause()
        for (let at = 0; at < data.length && !client.destroyed; at += 8192) {
          client.write(data.subarray(at, at + 8192))
          if (listing) await sleep(30)
        }
        upstream.resume()
      })
      upstream.on('close', () => client.destroy())
      client.on('close', () => upstream.destroy())
    })
    await new Promise<void>((listening) => proxy.listen(0, '127.0.0.1', listening))
    stops.push(async () => {
      for (const socket of sockets) socket.destroy()
      proxy.close()
    })
    const { port } = proxy.address() as AddressInfo
    const run = migration(`memcached://127.0.0.1:${port}`, { sourceOptions: { 'sync-timeout': 1000 } }).start()
    const over = run.then(
      () => 'completed',
      (error: MigrateError) => error.code,
    )
    await until(async () => Number(await call('DBSIZE')) > 0, 'a few items')
    down = true
    for (const socket of sockets) socket.destroy()
    await sleep(1500)
    down = false
    const outcome = await over
    // Whoever is back in time is whole.
    expect([outcome, outcome === 'completed' ? await call('DBSIZE') : 0]).toEqual(
      outcome === 'completed' ? ['completed', 20_000] : ['FM_CONNECT_LOST', 0],
    )
  })

  it('keeps flags as it is told', async () => {
    const server = await memcached()
    await server.set('plain', 'x')
    await server.set('flagged', 'y', 32, 1000)
    expect((await moved(server.url, { flags: 'prefix' })).verification).toMatchObject({ equal: true })
    expect([String(await call('GET', 'plain')), String(await call('GET', 'flagged'))]).toEqual(['0:x', '32:y'])
    await call('FLUSHALL')
    expect((await moved(server.url, { flags: 'sidecar' })).verification).toMatchObject({ equal: true, compared: 3 })
    expect(String(await call('GET', 'flagged:flags'))).toBe('32')
    expect(Number(await call('TTL', 'flagged:flags'))).toBeGreaterThan(900)
    await call('FLUSHALL')
    await server.set('json', '{"a":1}', 6)
    const packed = Buffer.concat([Buffer.from([5, 0, 0, 0]), deflateSync('hello')])
    await server.set('packed', packed, (1 | 2) << 4)
    await server.set('object', 'O:8:"stdClass":0:{}', 4)
    const decoded = await moved(server.url, { flags: 'decode', client: 'php' })
    expect(decoded.verification).toMatchObject({ equal: true })
    expect(String(await call('GET', 'packed'))).toBe('hello')
    expect(decoded.notCarried).toMatchObject([
      { what: expect.stringContaining('object'), count: 1, examples: ['object'] },
    ])
    await expect(moved(server.url, { flags: 'decode' })).rejects.toMatchObject({ code: 'FM_CONFIG_INVALID' })
  })

  it('is followed live: what is watched at once, the rest by comparing dumps', async () => {
    const server = await memcached()
    for (let i = 0; i < 100; i++) await server.set(`k${i}`, 'old')
    await server.set('n', '5')
    const run = migration(server.url, { mode: 'live', sourceOptions: { 'poll-interval': '1s' } })
    const over = run.start()
    await new Promise<void>((resolve) => run.on('phase', (phase) => phase === 'LIVE_SYNC' && resolve()))
    await server.set('k1', 'new')
    await server.set('fresh', 'x', 0, 900)
    await until(async () => String(await call('GET', 'k1')) === 'new', 'what is watched')
    // No event tells of these.
    await server.call('incr n 2', 'touch k2 500', 'delete k3')
    await server.call('append k4 0 0 1\r\n!')
    const done = async (): Promise<boolean> =>
      String(await call('GET', 'n')) === '7' &&
      Number(await call('TTL', 'k2')) > 400 &&
      (await call('EXISTS', 'k3')) === 0 &&
      String(await call('GET', 'k4')) === 'old!'
    await until(done, 'what is compared')
    await server.call('flush_all')
    await until(async () => ((await call('KEYS', '*')) as Buffer[]).every(isOwnKey), 'the flush')
    await server.set('last', 'x')
    run.stop()
    const report = await over
    expect(report.status.state).toBe('INTERRUPTED')
    expect(((await call('KEYS', '*')) as Buffer[]).map(String)).toEqual(['last'])
  })

  it('ends equal under a writer, evictions and a busy crawler included', async () => {
    const server = await memcached('-m', '2')
    let writing = true
    const writer = (async () => {
      for (let i = 0; writing; i++) {
        const lines = Array.from({ length: 200 }, (_, n) => {
          const key = `w${(i * 200 + n * 13) % 20_000}`
          return n % 10 === 0 ? `delete ${key}` : `set ${key} 0 0 200\r\n${String(i).padEnd(200, 'x')}`
        })
        await server.call(...lines)
        if (i % 20 === 0) await server.call('lru_crawler metadump all').catch(() => undefined)
      }
    })()
    await sleep(500)
    const run = migration(server.url, { mode: 'live', sourceOptions: { 'poll-interval': '1s' } })
    const over = run.start()
    await sleep(3000)
    writing = false
    await writer
    run.stop()
    await over
    const verified = await migration(server.url, { verify: true }).start()
    expect(verified.verification).toMatchObject({ equal: true })
    expect(verified.verification?.compared).toBeGreaterThan(100)
  })

  it('that is lost is tried again, and one that refuses gives one clear line', async () => {
    const server = await memcached()
    await server.set('a', '1')
    const run = migration(server.url, { mode: 'live', sourceOptions: { 'poll-interval': '1s' } })
    const over = run.start()
    await new Promise<void>((resolve) => run.on('phase', (phase) => phase === 'LIVE_SYNC' && resolve()))
    await server.kill()
    // Long enough for it to be looked for in vain.
    await sleep(1500)
    await server.launch()
    await server.set('b', '2')
    await until(async () => (await call('EXISTS', 'b')) === 1, 'what was written after')
    // What is no more is looked for when all that is there was read.
    await until(async () => (await call('EXISTS', 'a')) === 0, 'what went with the server')
    run.stop()
    await over
    await server.stop()
    await expect(migration(server.url).start()).rejects.toMatchObject({ code: 'FM_CONNECT_REFUSED' })
    await expect(migration('memcached://host:99999').start()).rejects.toMatchObject({ code: 'FM_URL_INVALID' })
    await expect(migration(target.url.replace('redis', 'memcached')).start()).rejects.toThrow(/answered|Memcached/)
  })

  it('with ASCII authentication, and by the binary protocol with a list of keys', async () => {
    const directory = mkdtempSync(join(tmpdir(), 'fm-mc-'))
    chmodSync(directory, 0o755)
    const users = join(directory, 'users')
    writeFileSync(users, 'user:secret\n')
    const closed = await memcached('-Y', users)
    await expect(migration(closed.url).start()).rejects.toMatchObject({ code: 'FM_AUTH_REQUIRED' })
    const as = (who: string): string => closed.url.replace('//', `//${who}@`)
    await expect(migration(as('user:wrong')).start()).rejects.toMatchObject({ code: 'FM_AUTH_REFUSED' })
    expect((await moved(as('user:secret'))).verification).toMatchObject({ equal: true })
    const server = await memcached()
    await server.set('a', 'x', 5, 1000)
    const keys = join(directory, 'keys')
    writeFileSync(keys, 'a\nnone\n')
    const binary = await migration(server.url, { sourceOptions: { protocol: 'binary', 'keys-file': keys } }).start()
    expect(String(await call('GET', 'a'))).toBe('x')
    expect(binary.notCarried).toMatchObject([{ count: 1 }])
    await expect(migration(server.url, { sourceOptions: { protocol: 'binary' } }).start()).rejects.toMatchObject({
      code: 'FM_CONFIG_INVALID',
    })
  })

  it('with SASL, which knows the binary protocol only', async (context) => {
    const closed = await TestMemcached.startSasl('user', 'secret')
    if (closed === null) return context.skip('this memcached was built without SASL')
    stops.push(() => closed.stop())
    const client = memjs.Client.create(`127.0.0.1:${closed.port}`, { username: 'user', password: 'secret' })
    await client.set('a', Buffer.from([0, 255, 10]), { expires: 0 })
    client.close()
    const keys = join(mkdtempSync(join(tmpdir(), 'fm-mc-')), 'keys')
    writeFileSync(keys, 'a\nnone\n')
    const sourceOptions = { protocol: 'binary', 'keys-file': keys }
    const as = (who: string): string => closed.url.replace('//', `//${who}@`)
    const report = await migration(as('user:secret'), { sourceOptions }).start()
    expect(await call('GET', 'a')).toEqual(Buffer.from([0, 255, 10]))
    expect(report.notCarried).toMatchObject([{ count: 1 }])
    await expect(migration(as('user:wrong'), { sourceOptions }).start()).rejects.toMatchObject({
      code: 'FM_AUTH_REFUSED',
    })
    await expect(migration(closed.url, { sourceOptions }).start()).rejects.toMatchObject({ code: 'FM_AUTH_REQUIRED' })
    for (const url of [as('user:secret'), closed.url])
      await expect(migration(url).start()).rejects.toMatchObject({ hint: expect.stringContaining('protocol=binary') })
  })

  it('is read no faster than allowed', async () => {
    const server = await memcached()
    await server.call(...Array.from({ length: 1000 }, (_, i) => `set k${i} 0 0 1\r\nx`))
    const startedAt = Date.now()
    await migration(server.url, { sourceOptions: { 'max-rate': 1000, 'batch-size': 100 } }).start()
    expect(Date.now() - startedAt).toBeGreaterThan(850)
  })
})

describe('what clients store', () => {
  const text = (...args: Parameters<typeof clientValue>): string =>
    `${clientValue(...args).opaque ? 'opaque ' : ''}${clientValue(...args).value.toString('latin1')}`

  it('is decoded by their flags', () => {
    expect(text('php', Buffer.from('12'), 1)).toBe('12')
    expect(text('php', Buffer.from('1'), 3)).toBe('1')
    expect(text('php', Buffer.alloc(0), 3)).toBe('0')
    expect(text('php', Buffer.from('a:0:{}'), 4)).toBe('opaque a:0:{}')
    expect(text('python', Buffer.from('7'), 2)).toBe('7')
    expect(text('python', deflateSync('long'), 8)).toBe('long')
    expect(text('python', Buffer.from('\x80\x04N.'), 1)).toMatch(/^opaque/)
    expect(text('java', Buffer.from([1, 0]), 2 << 8)).toBe('256')
    expect(text('java', Buffer.from('ffffffffffffff85', 'hex'), 3 << 8)).toBe('-123')
    expect(text('java', Buffer.from('1'), 1 << 8)).toBe('1')
    expect(text('java', Buffer.from('400921fb54442d18', 'hex'), 7 << 8)).toBe('3.141592653589793')
    expect(text('java', gzipSync('zipped'), 2)).toBe('zipped')
    expect(text('java', Buffer.from('aced0005', 'hex'), 1)).toMatch(/^opaque/)
    expect(text('dalli', Buffer.from('\x04\bI"\nhello\x06:\x06ET', 'latin1'), 1)).toBe('hello')
    expect(text('dalli', Buffer.from('\x04\bi\x02\xe8\x03', 'latin1'), 1)).toBe('1000')
    expect(text('dalli', Buffer.from('\x04\bi\xfa', 'latin1'), 1)).toBe('-1')
    expect(text('dalli', Buffer.from('\x04\bT', 'latin1'), 1)).toBe('1')
    expect(text('dalli', deflateSync('x'.repeat(99)), 2)).toBe('x'.repeat(99))
    expect(text('dalli', Buffer.from('\x04\b{', 'latin1'), 1)).toMatch(/^opaque/)
    // What is damaged stays as it is.
    for (const client of ['php', 'python', 'java', 'dalli'] as const)
      expect(clientValue(client, Buffer.from('zz'), 0xffff).value.toString()).toBe('zz')
  })
})

describe('a line of a dump', () => {
  it('is read byte by byte', () => {
    const line = Buffer.from('key=a%20%C3%BCb exp=1795534221 la=1 cas=18446744073709551615 fetch=yes cls=1 size=68\n')
    expect(parseLine(line, 0, line.length - 1)).toMatchObject({ key: Buffer.from('a üb'), expireAt: 1795534221 })
    const other = Buffer.from('key=k exp=-1 la=1 cas=2 fetch=no cls=1 size=68 flags=5\n')
    expect(parseLine(other, 0, other.length - 1)).toMatchObject({ key: Buffer.from('k'), expireAt: -1 })
    expect(parseLine(Buffer.from('END\n'), 0, 3)).toBeNull()
  })

  it.each([0, 1000, 100_000, Number.NaN])('is known again by key, cas and expiry, %d expected', (expected) => {
    const table = new ItemTable()
    table.expect(expected)
    const key = (i: number): Buffer => Buffer.from(`key:${i}`)
    for (let i = 0; i < 100_000; i++) expect(table.note(key(i), i, 1)).toBe(true)
    for (let i = 0; i < 100_000; i++)
      if (table.note(key(i), i % 2 ? i : -i - 1, 2) !== (i % 2 === 0)) expect(i).toBe(-1)
    expect(table.forgetOthers(2)).toBe(0)
    for (let i = 0; i < 50_000; i++) table.note(key(i), 0, 3)
    expect([table.forgetOthers(3), table.size]).toEqual([50_000, 50_000])
  })
})
