import { mkdtempSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { Random } from '@ferrite-migrate/bench'
import { FerriteEmulator } from '@ferrite-migrate/ferrite-emulator'
import { parseEndpoint, RedisLink } from '@ferrite-migrate/redis'
import { findServer, TestServer } from '@ferrite-migrate/servers'
import type { MigrationReport } from 'ferrite-migrate'
import { afterEach, describe, expect, it } from 'vitest'
import { caughtUp, command, differences, migrateLive, migration, stateDir } from './run.js'
import { cli } from './tool.js'

const stops: (() => Promise<void>)[] = []
async function start(options = {}): Promise<TestServer> {
  const server = await TestServer.start(options)
  stops.push(() => server.stop())
  return server
}
afterEach(async () => {
  for (const stop of stops.splice(0)) await stop()
})

const KEYS = 40
/** Long enough for a machine that stands still for seconds: the source itself must not lose what it renews. */
const TTL_MS = 4000

/** Counters, lists and hashes that end soon and whose source keeps renewing them, after they were counted up. */
async function renew(url: string, until: () => boolean): Promise<void> {
  const link = await RedisLink.open(parseEndpoint(url))
  try {
    for (let round = 0; !until(); round++) {
      await link.pipeline((out) => {
        for (let i = 0; i < KEYS; i++) {
          // Counted before renewed: a target on which the key has ended would start again from one.
          out.call('INCR', `count:${i}`)
          out.call('RPUSH', `list:${i}`, round)
          out.call('HSET', `hash:${i}`, `f${round}`, 'v')
          for (const type of ['count', 'list', 'hash']) out.call('PEXPIRE', `${type}:${i}`, TTL_MS)
          out.call('PEXPIRE', `silent:${i}`, TTL_MS)
        }
        return KEYS * 7
      })
      await sleep(TTL_MS / 5)
    }
    // So that their ends cannot hide a difference.
    await link.pipeline((out) => {
      for (let i = 0; i < KEYS; i++)
        for (const type of ['count', 'list', 'hash', 'silent']) out.call('PERSIST', `${type}:${i}`)
      return KEYS * 4
    })
  } finally {
    link.close()
  }
}

const fill = (url: string): Promise<void> => each(url, KEYS, (i) => ['SET', `silent:${i}`, 'v', 'PX', TTL_MS])

async function each(url: string, count: number, make: (i: number) => (string | number)[]): Promise<void> {
  const link = await RedisLink.open(parseEndpoint(url))
  try {
    await link.pipeline((out) => {
      for (let i = 0; i < count; i++) out.call(...make(i))
      return count
    })
  } finally {
    link.close()
  }
}

/** Follows a source, stops for a while, goes on until the writer is over and everything is at the target. */
async function stoppedFor(
  ms: number,
  source: TestServer,
  target: TestServer,
  write: (over: () => boolean) => Promise<void>,
): Promise<MigrationReport> {
  const config = { source: source.url, target: target.url, stateDir: stateDir(), id: 'm' }
  let over = false
  const writing = write(() => over)
  const first = migration(config)
  const stopped = first.start()
  await caughtUp(first, source.url)
  first.stop()
  await stopped
  await sleep(ms)
  const second = migration({ ...config, resume: true })
  const done = second.start()
  await caughtUp(second, source.url)
  over = true
  await writing
  await caughtUp(second, source.url)
  second.stop()
  return done
}

/** Short ends given, renewed, taken off and built upon at random. */
async function writeShortLived(url: string, seed: number, seconds: number): Promise<void> {
  const link = await RedisLink.open(parseEndpoint(url))
  const random = new Random(seed)
  const over = Date.now() + seconds * 1000
  try {
    for (let n = 0; Date.now() < over; n++) {
      await link.pipeline((out) => {
        for (let i = 0; i < 40; i++) {
          const id = random.below(60)
          const ms = [30, 200, 800, 2000, 4000][random.below(5)]
          const commands = [
            ['DEL', `n:${id}`],
            ['SET', `t:${id}`, n, 'PX', ms],
            ['SET', `t:${id}`, n, 'KEEPTTL'],
            ['PERSIST', `n:${id}`],
            ['INCR', `n:${id}`],
            ['PEXPIRE', `n:${id}`, ms],
            ['PEXPIRE', `t:${id}`, ms, 'GT'],
            ['RPUSH', `l:${id}`, n],
            ['PEXPIRE', `l:${id}`, ms],
            ['RENAME', `l:${id}`, `l:${random.below(60)}`],
          ]
          out.call(...commands[random.below(commands.length)])
        }
        return 40
      })
      await sleep(15)
    }
  } finally {
    link.close()
  }
}

describe('keys that the source renews', () => {
  it('are equal after stops at random under a writer of short ends', async () => {
    const source = await start({ args: ['--repl-backlog-size', '64mb'] })
    const target = await start()
    const state = stateDir()
    const random = new Random(7)
    const writer = writeShortLived(source.url, 8, 9)
    let over = false
    void writer.then(() => {
      over = true
    })
    for (let round = 0; !over; round++) {
      const run = migration({ source: source.url, target: target.url, stateDir: state, id: 'm', resume: round > 0 })
      const done = run.start()
      await sleep(random.between(900, 1800))
      run.stop()
      await done
      await sleep(random.between(0, 2500))
    }
    await writer
    const last = migration({ source: source.url, target: target.url, stateDir: state, id: 'm', resume: true })
    const done = last.start()
    await caughtUp(last, source.url)
    last.stop()
    expect((await done).failures).toEqual([])
    expect(await differences(source.url, target.url)).toEqual([])
  })

  it('outlive a stop that is longer than they live', async () => {
    const source = await start({ args: ['--repl-backlog-size', '64mb'] })
    const target = await start()
    await fill(source.url)
    const report = await stoppedFor(TTL_MS * 1.5, source, target, (over) => renew(source.url, over))
    expect(report.notes.filter(({ type }) => type === 'resync')).toEqual([])
    expect(await command(source.url, 'DBSIZE')).toBe(KEYS * 4 + 1)
    expect(await differences(source.url, target.url)).toEqual([])
  })

  it('outlive it by a full resync where they are many', async () => {
    const source = await start({ args: ['--repl-backlog-size', '64mb'] })
    const target = await start()
    await each(source.url, 6000, (i) => ['SET', `session:${i}`, 'v', 'PX', TTL_MS])
    const report = await stoppedFor(TTL_MS * 1.5, source, target, async (over) => {
      for (; !over(); await sleep(TTL_MS / 5)) await each(source.url, 6000, (i) => ['PEXPIRE', `session:${i}`, TTL_MS])
      await each(source.url, 6000, (i) => ['PERSIST', `session:${i}`])
    })
    expect(report.notes.map(({ type }) => type)).toContain('resync')
    expect(await command(source.url, 'DBSIZE')).toBe(6001)
    expect(await differences(source.url, target.url)).toEqual([])
  })

  it('outlive it as fields of a hash', async (context) => {
    const found = await findServer('8.2')
    if (!('program' in found)) return context.skip(found.reason)
    const source = await start({ version: '8.2', args: ['--repl-backlog-size', '64mb'] })
    const target = await start({ version: '8.2' })
    const field = ['FIELDS', 1, 'f'] as const
    await each(source.url, KEYS, (i) => ['HSET', `hash:${i}`, 'f', 'v', 'stays', 'v'])
    await each(source.url, KEYS, (i) => ['HPEXPIRE', `hash:${i}`, TTL_MS, ...field])
    await stoppedFor(TTL_MS * 1.5, source, target, async (over) => {
      for (; !over(); await sleep(TTL_MS / 5))
        await each(source.url, KEYS, (i) => ['HPEXPIRE', `hash:${i}`, TTL_MS, ...field])
      await each(source.url, KEYS, (i) => ['HPERSIST', `hash:${i}`, ...field])
    })
    expect(await command(source.url, 'HLEN', 'hash:0')).toBe(2)
    expect(await differences(source.url, target.url)).toEqual([])
  })

  it('outlive a target that is away for longer than they live', async () => {
    const source = await start({ args: ['--repl-backlog-size', '64mb'] })
    const target = await start({ persistent: true })
    await fill(source.url)
    let over = false
    const renewing = renew(source.url, () => over)
    const run = migration({ source: source.url, target: target.url })
    const done = run.start()
    await caughtUp(run, source.url)
    await target.kill()
    await sleep(TTL_MS * 1.5)
    await target.launch()
    await sleep(500)
    over = true
    await renewing
    await caughtUp(run, source.url)
    run.stop()
    await done
    expect(await differences(source.url, target.url)).toEqual([])
  })

  it('that ended at the source without a word yet are not left behind', async () => {
    const source = await start()
    const target = await start()
    // Nothing tells of an end but the source's own sweep, which is kept from running.
    await command(source.url, 'DEBUG', 'SET-ACTIVE-EXPIRE', '0')
    for (let i = 0; i < 20; i++) await command(source.url, 'SET', `long:${i}`, 'v', 'EX', 600)
    const run = migration({ source: source.url, target: target.url })
    const done = run.start()
    await caughtUp(run, source.url)
    for (let i = 0; i < 20; i++) {
      await command(source.url, 'SET', `short:${i}`, 'v')
      await command(source.url, 'PEXPIRE', `short:${i}`, 200)
      await command(source.url, 'COPY', `short:${i}`, `long:${i}`, 'REPLACE')
    }
    await caughtUp(run, source.url)
    await sleep(300)
    run.stop()
    await done
    expect(await differences(source.url, target.url)).toEqual([])
    const left = ((await command(target.url, 'KEYS', '*:*')) as Buffer[]).map(String)
    expect(left.filter((key) => !key.startsWith('__'))).toEqual([])
  })
})

const resp = (...argv: (string | number)[]): string =>
  `*${argv.length}\r\n${argv.map((word) => `$${Buffer.byteLength(String(word))}\r\n${word}\r\n`).join('')}`

/** What a server wrote an hour ago: keys that would have ended by now, and were renewed. */
function oldFile(): string {
  const path = join(mkdtempSync(join(tmpdir(), 'fm-aof-')), 'appendonly.aof')
  const now = Date.now()
  const ago = now - 3_600_000
  const later = now + 3_600_000
  const mark = (at: number): string => `#TS:${Math.floor(at / 1000)}\r\n`
  writeFileSync(
    path,
    mark(ago) +
      resp('SELECT', 0) +
      resp('SET', 'renewed', 'v', 'PXAT', ago + 1000) +
      resp('PEXPIREAT', 'renewed', later) +
      resp('SET', 'kept', 'v', 'PXAT', ago + 1000) +
      resp('PERSIST', 'kept') +
      resp('HSET', 'hash', 'a', '1') +
      resp('PEXPIREAT', 'hash', ago + 5000) +
      resp('HSET', 'hash', 'b', '2') +
      resp('PEXPIREAT', 'hash', later, 'GT') +
      resp('SET', 'moved', 'v', 'PXAT', ago + 1000) +
      resp('RENAME', 'moved', 'stays') +
      resp('PERSIST', 'stays') +
      resp('SET', 'ended', 'v', 'PXAT', ago + 2000) +
      resp('SET', 'ends', 'v', 'PXAT', later) +
      resp('SETEX', 'counted', 7200, 'v') +
      mark(now - 1_800_000) +
      resp('SET', 'late', 'v'),
  )
  return path
}

describe('an append-only file with ends that have passed', () => {
  const state = (): string[] => ['--state-dir', stateDir()]
  const expected = ['counted', 'ends', 'hash', 'kept', 'late', 'renewed', 'stays']

  async function check(url: string, names: readonly string[]): Promise<void> {
    const keys = ((await command(url, 'KEYS', '*')) as Buffer[]).map(String).sort()
    expect(keys).toEqual(names)
    expect(((await command(url, 'HGETALL', 'hash')) as Buffer[]).map(String)).toEqual(['a', '1', 'b', '2'])
    for (const [key, least] of Object.entries({
      renewed: 3_500_000,
      hash: 3_500_000,
      ends: 3_500_000,
      counted: 3_500_000,
    })) {
      const left = Number(await command(url, 'PTTL', key))
      expect([key, left > least && left <= 3_600_000]).toEqual([key, true])
    }
    for (const key of ['kept', 'stays']) expect([key, await command(url, 'PTTL', key)]).toEqual([key, -1])
  }

  it('is replayed as it was', async () => {
    const target = await start()
    await command(target.url, 'SET', 'other', 'of somebody else', 'EX', 100)
    const run = await cli(['import-aof', oldFile(), '--target', target.url, ...state()])
    expect([run.code, run.output]).toEqual([0, expect.any(String)])
    expect(Number(await command(target.url, 'TTL', 'other'))).toBeLessThanOrEqual(100)
    await command(target.url, 'DEL', 'other')
    await check(target.url, expected)
  })

  it('is rebuilt as it was', async () => {
    const target = await start()
    const emulator = await FerriteEmulator.start(parseEndpoint(target.url))
    stops.push(() => emulator.stop())
    const run = await cli(['import-aof', oldFile(), '--target', emulator.url, ...state()])
    expect([run.code, run.output]).toEqual([0, expect.stringContaining('rebuilt in a server of our own')])
    await check(target.url, expected)
  })

  it('is rebuilt for a moment of its past', async () => {
    const target = await start()
    const moment = new Date(Date.now() - 2_700_000).toISOString()
    const run = await cli([
      'import-aof',
      oldFile(),
      '--target',
      target.url,
      '--before',
      moment,
      '--rebuild',
      ...state(),
    ])
    expect([run.code, run.output]).toEqual([0, expect.any(String)])
    await check(
      target.url,
      expected.filter((key) => key !== 'late'),
    )
  })
})

it('times to live that count from when nobody knows are told', async () => {
  const target = await start()
  const path = join(mkdtempSync(join(tmpdir(), 'fm-aof-')), 'appendonly.aof')
  writeFileSync(path, resp('SETEX', 'a', 99, 'v') + resp('SET', 'b', 'v', 'EX', 99) + resp('SET', 'c', 'v'))
  const run = await cli(['import-aof', path, '--target', target.url, '--state-dir', stateDir()])
  expect([run.code, run.output]).toEqual([0, expect.stringContaining('2 commands set times to live that count from')])
})

it('a live run ends with the ends that its source has', async () => {
  const source = await start()
  const target = await start()
  for (let i = 0; i < 200; i++) await command(source.url, 'SET', `k${i}`, 'v', 'EX', 30 + i)
  await migrateLive({ source: source.url, target: target.url })
  expect(await differences(source.url, target.url)).toEqual([])
})
