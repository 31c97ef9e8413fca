import { copyFileSync, mkdtempSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { gzipSync, zstdCompressSync } from 'node:zlib'
import { FerriteEmulator } from '@ferrite-migrate/ferrite-emulator'
import { parseEndpoint, RedisLink } from '@ferrite-migrate/redis'
import { findModules, findServer, type ServerVersion, type TestServer, until } from '@ferrite-migrate/servers'
import { describe, expect, it } from 'vitest'
import {
  asciiScore,
  RdbWriter,
  rdbLength,
  rdbString,
  streamV1,
  ziplist,
  zipmap,
} from '../../../packages/protocol/test/rdb-writer.js'
import { command, differences, stateDir } from './run.js'
import { start, stops } from './servers.js'
import { cli, Tool } from './tool.js'
import { runWorkload } from './workload.js'

const folder = (): string => mkdtempSync(join(tmpdir(), 'fm-files-'))
const state = (): string[] => ['--state-dir', stateDir()]

/** A server after a workload of every write command, and its dump. */
async function dumped(version?: ServerVersion): Promise<{ server: TestServer; file: string }> {
  const server = await start(version === undefined ? {} : { version })
  await runWorkload(parseEndpoint(server.url), 1.5, 91, [
    [['FUNCTION', 'LOAD', "#!lua name=lib\nredis.register_function('f', function() return 1 end)"]],
    [
      ['HSET', 'hx', 'a', '1', 'b', '2'],
      ['HPEXPIRE', 'hx', '1000000', 'FIELDS', '1', 'a'],
    ],
    [['SET', 'lzf', 'abc'.repeat(3000)]],
    [
      ['SELECT', '2'],
      ['RPUSH', 'other-db', ...Array.from({ length: 900 }, (_, i) => `${i} ${'x'.repeat(30)}`)],
      ['SELECT', '0'],
    ],
  ])
  await command(server.url, 'SAVE')
  const file = join(folder(), 'dump.rdb')
  copyFileSync(join(server.directory, 'dump.rdb'), file)
  return { server, file }
}

describe('import-rdb', () => {
  it.for(['6.2', '7.0', '8.2', 'valkey-9.1'] as const)('a dump of %s arrives equal', async (version, context) => {
    for (const needed of [version, '6.2'] as const) {
      const found = await findServer(needed)
      if ('reason' in found) return context.skip(found.reason)
    }
    const { server, file } = await dumped(version)
    const target = await start({ version })
    const run = await cli(['import-rdb', file, '--target', target.url, ...state()])
    expect([run.code, run.output]).toEqual([0, expect.stringContaining('COMPLETED')])
    expect(await differences(server.url, target.url)).toEqual([])
    if (version !== '6.2')
      expect(String(await command(target.url, 'FUNCTION', 'LIST'))).toBe(
        String(await command(server.url, 'FUNCTION', 'LIST')),
      )
    const older = await start({ version: '6.2' })
    await cli(['import-rdb', file, '--target', older.url, ...state()])
    expect(await differences(server.url, older.url, { fieldExpiry: false })).toEqual([])
  })

  it('plain, gzip, zstd, standard input, and as a source of migrate', async () => {
    const { server, file } = await dumped()
    const bytes = readFileSync(file)
    writeFileSync(`${file}.gz`, gzipSync(bytes))
    writeFileSync(`${file}.zst`, zstdCompressSync(bytes))
    for (const one of [`${file}.gz`, `${file}.zst`]) {
      const target = await start()
      const run = await cli(['import-rdb', one, '--target', target.url, ...state()])
      expect([run.code, run.output]).toEqual([0, expect.stringContaining('COMPLETED')])
      expect(await differences(server.url, target.url)).toEqual([])
    }
    const target = await start()
    const piped = new Tool(['import-rdb', '-', '--target', target.url, ...state()], {}, readFileSync(`${file}.gz`))
    expect(await piped.over).toBe(0)
    expect(await differences(server.url, target.url)).toEqual([])
    const other = await start()
    const migrated = await cli(['migrate', '-s', `rdb://${file}`, '-t', other.url, '-m', 'snapshot', ...state()])
    expect([migrated.code, migrated.output]).toEqual([0, expect.stringContaining('COMPLETED')])
    expect(await differences(server.url, other.url)).toEqual([])
  })

  it('several files are looked at before any is written, and each is a migration of its own', async () => {
    const [one, two] = [await start(), await start()]
    const files: string[] = []
    for (const [i, server] of [one, two].entries()) {
      await command(server.url, 'MSET', `k${i}`, 'v', `shared`, String(i))
      await command(server.url, 'SAVE')
      files.push(join(folder(), `${i}.rdb`))
      copyFileSync(join(server.directory, 'dump.rdb'), files[i])
    }
    const target = await start()
    const directory = state()
    const run = await cli(['import-rdb', ...files, '--id', 'both', '-t', target.url, '--verify', ...directory])
    expect([run.code, run.output]).toEqual([0, expect.stringContaining('VERIFIED')])
    expect(String(await command(target.url, 'MGET', 'k0', 'k1', 'shared'))).toBe('v,v,1')
    expect((await cli(['list', ...directory])).output).toMatch(/both-[12][\s\S]*both-[12]/)
    const bytes = readFileSync(files[1])
    bytes[bytes.length - 1] ^= 1
    writeFileSync(files[1], bytes)
    await command(target.url, 'FLUSHALL')
    const damaged = await cli(['import-rdb', ...files, '-t', target.url, ...state()])
    expect([damaged.code, damaged.output]).toEqual([1, expect.stringContaining('1.rdb')])
    expect(await command(target.url, 'DBSIZE')).toBe(0)
  })

  it('filters, gives keys other names, moves databases, and keeps or refuses what is there', async () => {
    const { file } = await dumped()
    const target = await start()
    const run = await cli([
      'import-rdb',
      file,
      '--target',
      target.url,
      '--filter',
      'h:*',
      '--exclude',
      'h:1?',
      '--transform-keys',
      'prefix:{key}',
      '--db-map',
      '0:1',
      ...state(),
    ])
    expect([run.code, run.output]).toEqual([0, expect.stringContaining('COMPLETED')])
    const keys = ((await command(`${target.url}/1`, 'KEYS', '*')) as Buffer[]).map(String)
    expect(keys.length).toBeGreaterThan(5)
    expect(keys.every((key) => /^prefix:h:(?!1.$)/.test(key))).toBe(true)
    expect(await command(target.url, 'DBSIZE')).toBe(0)
    const [one] = keys
    await command(`${target.url}/1`, 'DEL', one)
    await command(`${target.url}/1`, 'SET', one, 'mine')
    const again = [
      'import-rdb',
      file,
      '--target',
      target.url,
      '--filter',
      'h:*',
      '--transform-keys',
      'prefix:{key}',
      '--db-map',
      '0:1',
    ]
    await cli([...again, '--on-conflict', 'skip', ...state()])
    expect(String(await command(`${target.url}/1`, 'GET', one))).toBe('mine')
    const refused = await cli([...again, '--on-conflict', 'fail', ...state()])
    expect([refused.code, refused.output]).toEqual([1, expect.stringContaining('FM_TARGET_CONFLICT')])
    await command(target.url, 'FLUSHALL')
    const rules = `${file}.yaml`
    writeFileSync(rules, 'transformations:\n  keys:\n    - {type: prefix, value: "by-rule:"}\n')
    const transformed = ['--target', target.url, '--filter', 'h:*', '--transform', rules, ...state()]
    expect((await cli(['import-rdb', file, ...transformed])).code).toBe(0)
    expect(((await command(target.url, 'KEYS', '*')) as Buffer[]).every((key) => /^by-rule:h:/.test(String(key)))).toBe(
      true,
    )
    const checked = await cli([
      'verify',
      '--source',
      `rdb://${file}`,
      '-t',
      target.url,
      '-f',
      'h:*',
      '--transform',
      rules,
    ])
    expect(checked.code).toBe(0)
    const bad = await cli(['import-rdb', file, '--target', target.url, '--transform-keys', 'nothing', ...state()])
    expect([bad.code, bad.output]).toEqual([2, expect.stringContaining('must hold {key} once')])
  })

  it('says before it writes what the target cannot hold, and does as it is told', async (context) => {
    const found = await findServer('8.2')
    if ('reason' in found) return context.skip(found.reason)
    const { file } = await dumped('8.2')
    const backend = await start()
    const emulator = await FerriteEmulator.start(parseEndpoint(backend.url))
    stops.push(() => emulator.stop())
    const at = emulator.url.replace('ferrite', 'redis')
    const dry = await cli(['import-rdb', file, '--target', emulator.url, '--dry-run', ...state()])
    expect(dry.output).toMatch(/1 hash has fields that expire[\s\S]*HyperLogLog/)
    expect(await command(at, 'DBSIZE')).toBe(0)
    const fail = await cli(['import-rdb', file, '--target', emulator.url, '--unsupported', 'fail', ...state()])
    expect([fail.code, await command(at, 'DBSIZE')]).toEqual([4, 0])
    const skip = await cli(['import-rdb', file, '--target', emulator.url, '--unsupported', 'skip', ...state()])
    expect([skip.code, skip.output]).toEqual([0, expect.stringContaining('hash-field-ttl: 1')])
    expect(await command(at, 'EXISTS', 'hx', 'pf:0')).toBe(0)
    const degrade = await cli(['import-rdb', file, '--target', emulator.url, ...state()])
    expect([degrade.code, await command(at, 'EXISTS', 'hx')]).toEqual([0, 1])
  })

  it('goes on at its place in the file after a kill', async () => {
    const source = await start()
    const link = await RedisLink.open(parseEndpoint(source.url))
    await link.pipeline((out) => {
      for (let i = 0; i < 30_000; i++) out.call('SET', `k:${i}`, `value ${i}`, ...(i % 3 ? [] : ['EX', 9000]))
      return 30_000
    })
    link.close()
    await command(source.url, 'SAVE')
    const target = await start()
    const own = state()
    const file = join(source.directory, 'dump.rdb')
    const first = new Tool(['import-rdb', file, '--target', target.url, '--id', 'imp', '--max-rate', '5000', ...own])
    stops.push(() => first.kill())
    await until(async () => Number(await command(target.url, 'DBSIZE')) > 6000, 'a part')
    await sleep(1100)
    await first.kill()
    const second = await cli(['import-rdb', file, '--target', target.url, '--resume', 'imp', '--max-rate', '0', ...own])
    expect([second.code, second.output]).toEqual([0, expect.stringMatching(/going on from rdb:\d+:0:\d+/)])
    expect(await differences(source.url, target.url)).toEqual([])
  })

  it('reads the encodings that servers no longer write', async () => {
    const far = Date.now() + 9_000_000
    const expiry = Buffer.alloc(9)
    expiry[0] = 0xfc
    expiry.writeBigUInt64LE(BigInt(far), 1)
    const seconds = Buffer.alloc(5)
    seconds[0] = 0xfd
    seconds.writeInt32LE(Math.floor(far / 1000), 1)
    const long = 'v'.repeat(300)
    const build = (version: number): Buffer =>
      new RdbWriter(version)
        .raw([0xfe, 0])
        .record(
          9,
          'zipmap',
          rdbString(
            zipmap([
              ['f', 'v'],
              ['g', long],
            ]),
          ),
        )
        .record(
          10,
          'list-ziplist',
          rdbString(ziplist(['a', -1, 12, 300, -70000, 2_000_000_000, -9_000_000_000, long, 'z'])),
        )
        .record(12, 'zset-ziplist', rdbString(ziplist(['n', '2.5', 'm', 3])))
        .record(13, 'hash-ziplist', rdbString(ziplist(['f', 'v', 'n', 7])))
        .record(
          3,
          'zset-ascii',
          Buffer.concat([
            rdbLength(3),
            rdbString('a'),
            asciiScore(1.5),
            rdbString('b'),
            asciiScore(Infinity),
            rdbString('c'),
            asciiScore(-Infinity),
          ]),
        )
        .record(
          14,
          'quicklist-v1',
          Buffer.concat([rdbLength(2), rdbString(ziplist(['x', 1])), rdbString(ziplist(['y']))]),
        )
        .record(1, 'list-plain', Buffer.concat([rdbLength(2, '32'), rdbString('p'), rdbString('q')]))
        .record(15, 'stream-v1', streamV1(5000))
        .record(0, 'length-64', rdbString('sixty-four', '64'))
        .raw(expiry)
        .record(0, 'ttl-ms', rdbString('x'))
        .raw(seconds)
        .record(0, 'ttl-s', rdbString('y'))
        .end(version)
    const file = join(folder(), 'old.rdb')
    for (const version of [1, 4, 9]) {
      writeFileSync(file, build(version))
      const target = await start()
      const run = await cli(['import-rdb', file, '--target', target.url, ...state()])
      expect([run.code, run.output]).toEqual([0, expect.stringMatching(/Written:\s+11/)])
      const text = async (...argv: (string | number)[]): Promise<string[]> =>
        ((await command(target.url, ...argv)) as Buffer[]).map(String)
      expect([
        String(await command(target.url, 'HGET', 'zipmap', 'f')),
        String(await command(target.url, 'HGET', 'zipmap', 'g')),
      ]).toEqual(['v', long])
      expect(await text('LRANGE', 'list-ziplist', 0, -1)).toEqual([
        'a',
        '-1',
        '12',
        '300',
        '-70000',
        '2000000000',
        '-9000000000',
        long,
        'z',
      ])
      expect(await text('ZRANGE', 'zset-ziplist', 0, -1, 'WITHSCORES')).toEqual(['n', '2.5', 'm', '3'])
      expect((await text('HGETALL', 'hash-ziplist')).sort()).toEqual(['7', 'f', 'n', 'v'])
      expect(await text('ZRANGE', 'zset-ascii', 0, -1, 'WITHSCORES')).toEqual(['c', '-inf', 'a', '1.5', 'b', 'inf'])
      expect(await text('LRANGE', 'quicklist-v1', 0, -1)).toEqual(['x', '1', 'y'])
      expect(await text('LRANGE', 'list-plain', 0, -1)).toEqual(['p', 'q'])
      expect(JSON.stringify(await command(target.url, 'XLEN', 'stream-v1'))).toBe('2')
      expect(String(await command(target.url, 'GET', 'length-64'))).toBe('sixty-four')
      expect(Math.abs(Number(await command(target.url, 'PTTL', 'ttl-ms')) - 9_000_000)).toBeLessThan(20_000)
      expect(Number(await command(target.url, 'TTL', 'ttl-s'))).toBeGreaterThan(8000)
      const analysis = JSON.parse((await cli(['analyze-rdb', file, '--json'])).output)
      expect(analysis).toMatchObject({ keys: 11, rdbVersion: version })
      expect(analysis.types.find((one: { type: string }) => one.type === 'list')).toMatchObject({
        keys: 3,
        elements: 14,
      })
    }
  })

  it.for(['7.0', '8.2'] as const)(
    'values of modules travel raw from and to %s where the module is, and are counted where it is not',
    async (version, context) => {
      const modules = await findModules()
      if ('reason' in modules) return context.skip(modules.reason)
      const found = await findServer(version)
      if ('reason' in found) return context.skip(found.reason)
      const loaded = { version, args: ['--loadmodule', modules.json, '--loadmodule', modules.bloom] }
      const source = await start(loaded)
      await command(source.url, 'JSON.SET', 'doc', '$', '{"a":[1,2.5,"x"],"b":null}')
      for (let i = 0; i < 50; i++) await command(source.url, 'BF.ADD', 'bloom', `item ${i}`)
      await command(source.url, 'SET', 'plain', '1')
      await command(source.url, 'SAVE')
      const file = join(source.directory, 'dump.rdb')
      expect((await cli(['analyze-rdb', file])).output).toMatch(/Modules: .*ReJSON-RL \(1 values\)/)
      const same = await start(loaded)
      const run = await cli(['import-rdb', file, '--target', same.url, ...state()])
      expect([run.code, run.output]).toEqual([0, expect.stringContaining('COMPLETED')])
      expect(String(await command(same.url, 'JSON.GET', 'doc'))).toBe('{"a":[1,2.5,"x"],"b":null}')
      expect(await command(same.url, 'BF.EXISTS', 'bloom', 'item 7')).toBe(1)
      const without = await start({ version })
      const dry = await cli(['import-rdb', file, '--target', without.url, '--dry-run', ...state()])
      expect(dry.output).toMatch(/1 value of the module ReJSON-RL/)
      const failed = await cli(['import-rdb', file, '--target', without.url, ...state()])
      expect([failed.code, failed.output]).toEqual([
        1,
        expect.stringMatching(/Failed: +2[\s\S]*doc \(db 0\): the target cannot read a value of this module/),
      ])
      expect(String(await command(without.url, 'GET', 'plain'))).toBe('1')
    },
  )

  it('stops at damage with its place, and leaves bad input with one line', async () => {
    const { file } = await dumped()
    const target = await start()
    const bytes = readFileSync(file)
    const broken = join(folder(), 'broken.rdb')
    writeFileSync(broken, bytes.subarray(0, bytes.length - 200))
    const cut = await cli(['import-rdb', broken, '--target', target.url, ...state()])
    expect([cut.code, cut.output]).toEqual([
      1,
      expect.stringMatching(/FM_RDB_TRUNCATED: the RDB ends inside .* at byte \d+; \d+ keys were read before/),
    ])
    expect(await command(target.url, 'DBSIZE')).toBe(0)
    bytes[bytes.length - 20] ^= 1
    writeFileSync(broken, bytes)
    const sum = await cli(['import-rdb', broken, '--target', target.url, ...state()])
    expect([sum.code, sum.output]).toEqual([1, expect.stringMatching(/FM_RDB_(CHECKSUM|CORRUPT|TRUNCATED|UNKNOWN)/)])
    writeFileSync(broken, 'this is no dump')
    const none = await cli(['analyze-rdb', broken])
    expect([none.code, none.output]).toEqual([1, expect.stringContaining('neither REDIS nor VALKEY')])
    const absent = await cli(['import-rdb', '/nowhere.rdb', '--target', target.url, ...state()])
    expect([absent.code, absent.output]).toEqual([2, expect.stringContaining('there is no such file')])
    const damagedGzip = join(folder(), 'x.gz')
    writeFileSync(damagedGzip, gzipSync(readFileSync(file)).subarray(0, 300))
    const gzip = await cli(['analyze-rdb', damagedGzip])
    expect([gzip.code, gzip.output]).toEqual([2, expect.stringContaining('FM_FILE_COMPRESSION')])
  })
})

describe('analyze-rdb', () => {
  it('tells types, patterns, expiries, large keys; as text, JSON, CSV and HTML', async () => {
    const { server, file } = await dumped()
    const out = folder()
    const run = await cli([
      'analyze-rdb',
      file,
      '--top',
      '3',
      '--csv',
      join(out, 'k.csv'),
      '--html',
      join(out, 'r.html'),
    ])
    expect([run.code, run.output]).toEqual([
      0,
      expect.stringMatching(/^RDB Version: \d+\nKeys: [\d,]+\nSize: .* \(compressed\) \/ .* \(uncompressed\)\nTypes: /),
    ])
    let keys = 0
    for (const db of [0, 1, 2, 3]) keys += Number(await command(`${server.url}/${db}`, 'DBSIZE'))
    const rows = readFileSync(join(out, 'k.csv'), 'utf8').trim().split('\n')
    const json = JSON.parse((await cli(['analyze-rdb', file, '--json'])).output)
    expect(json.keys).toBe(rows.length - 1)
    // A few ended since.
    expect(json.keys).toBeGreaterThanOrEqual(keys)
    expect(json.keys - keys).toBeLessThan(50)
    const list = Number(await command(`${server.url}/2`, 'LLEN', 'other-db'))
    expect(rows.find((row) => row.includes(',other-db,'))).toMatch(
      new RegExp(`^2,other-db,list,[^,]+,\\d+,${list},,\\d+$`),
    )
    expect(json.patterns.map(({ pattern }: { pattern: string }) => pattern)).toEqual(
      expect.arrayContaining(['h:*', 'l:*']),
    )
    expect(readFileSync(join(out, 'r.html'), 'utf8')).toMatch(/<svg[\s\S]*class="tile"/)
  })
})

describe('analyze', () => {
  it('is laid out as on the page, and leaves nothing at either end', async () => {
    const { server } = await dumped()
    const backend = await start()
    const emulator = await FerriteEmulator.start(parseEndpoint(backend.url))
    stops.push(() => emulator.stop())
    const before = Number(await command(server.url, 'DBSIZE'))
    const run = await cli(['analyze', '--source', server.url, '--target', emulator.url, '--full'])
    expect([run.code, run.output]).toEqual([
      0,
      expect.stringMatching(
        /SOURCE ANALYSIS REPORT[\s\S]*Connection: redis:[\s\S]*Redis Version: [\s\S]*DATA SUMMARY[\s\S]*Total Keys: [\s\S]*Memory Used: [\s\S]*KEY DISTRIBUTION[\s\S]*Type +Count +Memory +%[\s\S]*KEY PATTERNS \(Top 10\)[\s\S]*COMPATIBILITY[\s\S]*RECOMMENDATIONS[\s\S]*Estimated migration time: \d+-\d+ (seconds|minutes)[\s\S]*Write test/,
      ),
    ])
    expect(run.output).toMatch(/HyperLogLogs are used/)
    expect(await command(backend.url, 'DBSIZE')).toBe(0)
    // Short expiries may pass meanwhile; nothing else may change.
    expect(Number(await command(server.url, 'DBSIZE'))).toBeLessThanOrEqual(before)
    expect(await command(server.url, 'KEYS', '__ferrite*')).toEqual([])
    const sampled = JSON.parse((await cli(['analyze', '--source', server.url, '--sample', '100', '--json'])).output)
    expect(sampled.lookedAt).toBeLessThan(sampled.totalKeys + 1)
    expect(sampled.summary.keys).toBeGreaterThan(0)
  })
})

describe('append-only files', () => {
  /** A server that writes one with time marks, before and after a moment. */
  async function written(args: string[] = []): Promise<{ server: TestServer; directory: string; moment: string }> {
    const server = await start({
      args: [
        '--appendonly',
        'yes',
        '--aof-timestamp-enabled',
        'yes',
        '--auto-aof-rewrite-percentage',
        '0',
        '--appendfsync',
        'always',
        ...args,
      ],
    })
    await runWorkload(parseEndpoint(server.url), 1, 92, [])
    await command(server.url, 'MSET', 'deleted-later', '1', 'changed-later', 'old', 'never-touched', 'x')
    await sleep(2100)
    const moment = new Date(Math.floor(Date.now() / 1000) * 1000 - 1000).toISOString()
    return { server, directory: join(server.directory, 'appendonlydir'), moment }
  }

  it('arrive equal: multi-part, after a rewrite, and a single file with an RDB in front', async () => {
    const { server, directory } = await written()
    for (const rewritten of [false, true]) {
      if (rewritten) {
        await command(server.url, 'BGREWRITEAOF')
        await until(async () => {
          const info = String(await command(server.url, 'INFO', 'persistence'))
          return /aof_rewrite_in_progress:0/.test(info) && /aof_rewrite_scheduled:0/.test(info)
        }, 'the rewrite was over')
        await runWorkload(parseEndpoint(server.url), 0.5, 93, [])
      }
      const target = await start()
      const run = await cli(['import-aof', directory, '--target', target.url, ...state()])
      expect([run.code, run.output]).toEqual([0, expect.stringContaining('COMPLETED')])
      expect(await differences(server.url, target.url)).toEqual([])
    }
    const names = readdirSync(directory)
    const single = join(folder(), 'appendonly.aof')
    const base = names.find((name) => name.endsWith('.base.rdb'))!
    const increment = names.filter((name) => name.endsWith('.incr.aof'))
    writeFileSync(single, Buffer.concat([base, ...increment].map((name) => readFileSync(join(directory, name)))))
    const target = await start()
    const run = await cli(['import-aof', single, '--target', target.url, ...state()])
    expect([run.code, run.output]).toEqual([0, expect.stringContaining('COMPLETED')])
    expect(await differences(server.url, target.url)).toEqual([])
    // The snapshot in front of the commands is not what the file holds.
    const verified = await cli(['verify', '-s', `aof://${directory}`, '-t', target.url])
    expect([verified.code, verified.output]).toEqual([1, expect.stringContaining('FM_VERIFY_UNSUPPORTED')])
    const exported = await cli(['export', '-s', `aof://${directory}`, '-o', join(folder(), 'x.ndjson')])
    expect([exported.code, exported.output]).toEqual([1, expect.stringContaining('no values to export')])
    const analysis = await cli(['analyze-aof', directory])
    expect([analysis.code, analysis.output]).toEqual([0, expect.stringMatching(/Time marks: 20\d\d-[\s\S]*RDB first/)])
  })

  it('up to and from a point in time', async () => {
    const { server, directory, moment } = await written()
    const before = await start()
    await command(server.url, 'SET', 'changed-later', 'new')
    await command(server.url, 'DEL', 'deleted-later')
    await command(server.url, 'RPUSH', 'new-later', 'a', 'b')
    await sleep(100)
    const run = await cli(['import-aof', directory, '--target', before.url, '--before', moment, ...state()])
    expect([run.code, run.output]).toEqual([0, expect.stringContaining('COMPLETED')])
    expect([
      String(await command(before.url, 'GET', 'changed-later')),
      await command(before.url, 'EXISTS', 'deleted-later', 'new-later'),
    ]).toEqual(['old', 1])
    const after = await start()
    await command(after.url, 'MSET', 'deleted-later', 'stale', 'theirs', '1')
    const window = await cli(['import-aof', directory, '--target', after.url, '--after', moment, ...state()])
    expect([window.code, window.output]).toEqual([0, expect.stringContaining('COMPLETED')])
    expect(((await command(after.url, 'KEYS', '*')) as Buffer[]).map(String).sort()).toEqual([
      'changed-later',
      'new-later',
      'theirs',
    ])
    const bad = await cli(['import-aof', directory, '--target', after.url, '--after', 'yesterday', ...state()])
    expect([bad.code, bad.output]).toEqual([2, expect.stringContaining('is no time')])
  })

  it('without time marks a window is refused', async () => {
    const server = await start({ args: ['--appendonly', 'yes'] })
    await command(server.url, 'SET', 'a', '1')
    const target = await start()
    const run = await cli([
      'import-aof',
      join(server.directory, 'appendonlydir'),
      '--target',
      target.url,
      '--before',
      '2030-01-01T00:00:00Z',
      ...state(),
    ])
    expect([run.code, run.output]).toEqual([
      1,
      expect.stringMatching(/FM_AOF_NO_MARKS[\s\S]*aof-timestamp-enabled yes/),
    ])
  })

  it('into the emulated Ferrite, by a state rebuilt on the side', async () => {
    const { server, directory } = await written()
    const backend = await start()
    const emulator = await FerriteEmulator.start(parseEndpoint(backend.url))
    stops.push(() => emulator.stop())
    const run = await cli(['import-aof', directory, '--target', emulator.url, ...state()])
    expect([run.code, run.output]).toEqual([0, expect.stringContaining('rebuilt in a server of our own')])
    expect(await differences(server.url, emulator.url, { ferrite: true, fieldExpiry: false })).toEqual([])
  })

  it('a cut tail is left out with its size, an unfinished MULTI too, and damage in the middle is an error with its place', async () => {
    const resp = (...argv: string[]): string =>
      `*${argv.length}\r\n${argv.map((word) => `$${Buffer.byteLength(word)}\r\n${word}\r\n`).join('')}`
    const file = join(folder(), 'appendonly.aof')
    const whole = resp('SELECT', '0') + resp('SET', 'a', '1') + resp('SET', 'b', 'x\r\ny')
    const target = await start()
    const attempt = async (text: string): Promise<{ code: number | null; output: string }> => {
      await command(target.url, 'FLUSHALL')
      writeFileSync(file, text)
      return cli(['import-aof', file, '--target', target.url, ...state()])
    }
    const cut = await attempt(whole + resp('SET', 'c', '12345').slice(0, -4))
    expect([cut.code, cut.output]).toEqual([0, expect.stringMatching(/the last 27 bytes are an unfinished command/)])
    expect(await command(target.url, 'DBSIZE')).toBe(2)
    const open = await attempt(whole + resp('MULTI') + resp('SET', 'c', '1') + resp('INCR', 'a'))
    expect([open.code, open.output]).toEqual([0, expect.stringContaining('an unfinished MULTI')])
    expect([await command(target.url, 'DBSIZE'), String(await command(target.url, 'GET', 'a'))]).toEqual([2, '1'])
    const damaged = await attempt(`${whole}garbage\r\n${resp('SET', 'c', '1')}`)
    expect([damaged.code, damaged.output]).toEqual([
      1,
      expect.stringContaining(`FM_AOF_CORRUPT: the append-only file is damaged at byte ${whole.length}`),
    ])
    const bomb = await attempt(`${whole}*2\r\n$3\r\nSET\r\n$4000000000\r\nabc`)
    expect([bomb.code, bomb.output]).toEqual([0, expect.stringContaining('an unfinished command')])
  })
})
