import { mkdtempSync, readFileSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { FerriteEmulator } from '@ferrite-migrate/ferrite-emulator'
import { parseEndpoint, RedisLink } from '@ferrite-migrate/redis'
import { findServer, until } from '@ferrite-migrate/servers'
import { describe, expect, it } from 'vitest'
import { command, migration, stateDir } from './run.js'
import { start, stops } from './servers.js'
import { cli, Tool } from './tool.js'
import { runWorkload } from './workload.js'

type Words = (string | number | Buffer)[]
async function issue(url: string, ...commands: Words[]): Promise<void> {
  const link = await RedisLink.open(parseEndpoint(url))
  const replies = await link.pipeline((out) => {
    for (const words of commands) out.call(...words)
    return commands.length
  })
  link.close()
  for (const reply of replies) if (reply instanceof Error) throw reply
}

/** What both servers hold before differences are planted. */
const COMMON: Words[] = [
  ['SET', 'plain', 'value'],
  ['SET', 'ttl', 'x', 'PXAT', Date.now() + 5_000_000],
  ['SET', Buffer.from([0, 255, 13, 10]), Buffer.from([1, 2, 3, 255])],
  ['RPUSH', 'list', 'a', 'b', 'c'],
  ['SADD', 'set', 'a', 'b', '7'],
  ['HSET', 'hash', 'f', '1', 'g', '2'],
  ['ZADD', 'zset', '3', 'm', '1.5', 'n'],
  ['XADD', 'stream', '5-1', 'f', 'v'],
  ['XADD', 'stream', '5-2', 'f', 'w'],
  ['XGROUP', 'CREATE', 'stream', 'g', '0'],
  ['XREADGROUP', 'GROUP', 'g', 'alice', 'COUNT', '1', 'STREAMS', 'stream', '>'],
  ['SELECT', 3],
  ['SET', 'in-three', '1'],
  ['SELECT', 0],
]

const PLANTED: { name: string; key: string; kind: string; plant: Words[]; part?: RegExp }[] = [
  { name: 'a missing key', key: 'plain', kind: 'missing-target', plant: [['DEL', 'plain']] },
  { name: 'an extra key', key: 'extra', kind: 'missing-source', plant: [['SET', 'extra', '1']] },
  {
    name: 'another type',
    key: 'plain',
    kind: 'type',
    plant: [
      ['DEL', 'plain'],
      ['RPUSH', 'plain', 'value'],
    ],
  },
  {
    name: 'one byte of a value',
    key: 'plain',
    kind: 'value',
    plant: [['SETRANGE', 'plain', '2', 'L']],
    part: /"part":"value","name":null,"source":\{"text":"value"/,
  },
  {
    name: 'the order of a list',
    key: 'list',
    kind: 'value',
    plant: [
      ['LSET', 'list', '0', 'b'],
      ['LSET', 'list', '1', 'a'],
    ],
    part: /"part":"\[0\]".*"text":"a".*"text":"b"/,
  },
  {
    name: 'a member',
    key: 'set',
    kind: 'value',
    plant: [
      ['SREM', 'set', '7'],
      ['SADD', 'set', '8'],
    ],
    part: /"part":"member","name":\{"text":"7"/,
  },
  {
    name: 'a field',
    key: 'hash',
    kind: 'value',
    plant: [['HSET', 'hash', 'g', '3']],
    part: /"part":"field","name":\{"text":"g"/,
  },
  {
    name: 'the last bit of a score',
    key: 'zset',
    kind: 'value',
    plant: [['ZADD', 'zset', '3.0000000000000004', 'm']],
    part: /"part":"score","name":\{"text":"m"/,
  },
  {
    name: "a group's last id",
    key: 'stream',
    kind: 'value',
    plant: [['XGROUP', 'SETID', 'stream', 'g', '5-2']],
    part: /"part":"group","name":\{"text":"g"/,
  },
  {
    name: 'a pending entry',
    key: 'stream',
    kind: 'value',
    plant: [['XACK', 'stream', 'g', '5-1']],
    part: /"part":"pending","name":\{"text":"g 5-1"/,
  },
  {
    name: 'an entry',
    key: 'stream',
    kind: 'value',
    plant: [['XDEL', 'stream', '5-2']],
    part: /"part":"entry","name":\{"text":"5-2"/,
  },
  { name: 'an expiry by two seconds', key: 'ttl', kind: 'ttl', plant: [['PEXPIREAT', 'ttl', 0]] },
  { name: 'an expiry that is none', key: 'ttl', kind: 'ttl', plant: [['PERSIST', 'ttl']] },
  {
    name: 'another database',
    key: 'in-three',
    kind: 'missing-target',
    plant: [
      ['SELECT', 3],
      ['MOVE', 'in-three', 4],
    ],
  },
]

describe('planted differences', () => {
  it('are all found, with their reason, by verify and by compare, and mended', { timeout: 180_000 }, async () => {
    const source = await start()
    const target = await start()
    const folder = mkdtempSync(join(tmpdir(), 'fm-diff-'))
    for (const { name, key, kind, plant, part } of PLANTED) {
      await issue(source.url, ['FLUSHALL'], ...COMMON)
      await command(target.url, 'FLUSHALL')
      await migration({ source: source.url, target: target.url, mode: 'snapshot' }).start()
      const at = Number(await command(source.url, 'PEXPIRETIME', 'ttl'))
      await issue(
        target.url,
        ...plant.map((words) => words.map((word) => (word === 0 && words[0] === 'PEXPIREAT' ? at + 2001 : word))),
      )
      const verify = await cli(['verify', '--source', source.url, '--target', target.url, '--rounds', '1', '--json'])
      const report = JSON.parse(verify.output)
      const found = report.differences.map((one: { key: string; kind: string }) => `${one.key} ${one.kind}`)
      expect([name, verify.code, found]).toEqual([name, 3, expect.arrayContaining([`${key} ${kind}`])])
      const args = ['verify', '-s', source.url, '-t', target.url, '--rounds', '1', '--read', 'snapshots', '--json']
      const bySnapshots = await cli(args)
      expect([name, JSON.parse(bySnapshots.output)]).toEqual([name, { ...report, at: expect.any(Number) }])
      const file = join(folder, 'diff.ndjson')
      const compare = await cli([
        'compare',
        '--source',
        source.url,
        '--target',
        target.url,
        '--rounds',
        '1',
        '--output',
        file,
        '--repair',
        '--delete-extra',
      ])
      expect([name, compare.code, compare.output]).toEqual([name, 0, expect.stringContaining('RESULT: ✅ REPAIRED')])
      void part
      const after = await cli(['verify', '--source', source.url, '--target', target.url, '--rounds', '1'])
      expect([name, after.code, after.output]).toEqual([name, 0, expect.stringContaining('RESULT: ✅ VERIFIED')])
    }
  })

  it('are told part by part, and a dry run mends nothing', async () => {
    const source = await start()
    const target = await start()
    const folder = mkdtempSync(join(tmpdir(), 'fm-diff-'))
    for (const { name, plant, part } of PLANTED) {
      if (part === undefined) continue
      await issue(source.url, ['FLUSHALL'], ...COMMON)
      await command(target.url, 'FLUSHALL')
      await migration({ source: source.url, target: target.url, mode: 'snapshot' }).start()
      await issue(target.url, ...plant)
      const file = join(folder, 'diff.json')
      const run = await cli([
        'compare',
        '--source',
        source.url,
        '--target',
        target.url,
        '--keys',
        '*',
        '--rounds',
        '1',
        '--output',
        file,
        '--html',
        join(folder, 'd.html'),
        '--repair',
        '--dry-run',
      ])
      expect([name, run.code, run.output]).toEqual([
        name,
        3,
        expect.stringMatching(/Different: +1\n[\s\S]*DIFFERENCES FOUND[\s\S]*Nothing was repaired/),
      ])
      const text = readFileSync(file, 'utf8')
      expect(JSON.parse(text).differences).toHaveLength(1)
      expect([name, text]).toEqual([name, expect.stringMatching(part)])
      expect(readFileSync(join(folder, 'd.html'), 'utf8')).toContain('<h2>Differences</h2>')
    }
  })

  it('of hash fields that expire', async (context) => {
    const found = await findServer('8.2')
    if ('reason' in found) return context.skip(found.reason)
    const source = await start({ version: '8.2' })
    const target = await start({ version: '8.2' })
    for (const one of [source, target]) await issue(one.url, ['HSET', 'h', 'a', '1', 'b', '2'])
    await issue(source.url, ['HPEXPIRE', 'h', 9_000_000, 'FIELDS', 1, 'a'])
    const run = await cli(['verify', '--source', source.url, '--target', target.url, '--rounds', '1'])
    expect([run.code, run.output]).toEqual([3, expect.stringContaining('the hash differs')])
    const ignored = await cli([
      'verify',
      '--source',
      source.url,
      '--target',
      target.url,
      '--rounds',
      '1',
      '--ignore-field-ttl',
    ])
    expect(ignored.code).toBe(0)
    const parts = await cli(['compare', '--source', source.url, '--target', target.url, '--rounds', '1', '--json'])
    expect(JSON.parse(parts.output).differences[0].parts[0]).toMatchObject({
      part: 'field-expiry',
      name: { text: 'a' },
      target: null,
    })
  })
})

describe('equal data', () => {
  it('that a migration renamed and moved on the way is verified as such, and its loss is seen', async () => {
    const source = await start()
    const target = await start()
    await issue(source.url, ['SET', 'user:1', 'a'], ['RPUSH', 'user:2', 'a', 'b'])
    const report = await migration({
      source: source.url,
      target: target.url,
      mode: 'snapshot',
      keyTemplate: 'new:{key}',
      dbMap: { 0: 1 },
      verify: true,
    }).start()
    expect(report.verification).toMatchObject({ equal: true, matching: 2, missingSource: 0 })
    expect(await command(target.url, 'DBSIZE')).toBe(0)
    const again = migration({
      source: source.url,
      target: target.url,
      mode: 'snapshot',
      keyTemplate: 'new:{key}',
      onConflict: 'skip',
      verify: true,
    })
    await issue(target.url, ['SET', 'new:user:1', 'other'])
    const differing = await again.start()
    expect(differing.verification).toMatchObject({ equal: false, mismatched: 1 })
  })

  it('in other encodings, of large values, and under other names is no difference', async () => {
    const source = await start()
    const target = await start({
      args: [
        '--hash-max-listpack-entries',
        '0',
        '--set-max-intset-entries',
        '0',
        '--zset-max-listpack-entries',
        '0',
        '--list-max-listpack-size',
        '2',
      ],
    })
    const commands: Words[] = [
      ['HSET', 'hash', 'a', '1', 'b', '2', 'c', '3'],
      ['SADD', 'ints', ...Array.from({ length: 100 }, (_, i) => i)],
      ['ZADD', 'zset', ...Array.from({ length: 60 }, (_, i) => [i / 3, `m${i}`]).flat()],
      ['RPUSH', 'list', ...Array.from({ length: 200 }, (_, i) => `element ${i}`)],
      ['SET', 'large', 'x'.repeat(6 << 20)],
    ]
    for (const one of [source, target]) {
      await issue(one.url, ...commands)
      const link = await RedisLink.open(parseEndpoint(one.url))
      await link.pipeline((out) => {
        for (let i = 0; i < 300; i++)
          out.call('HSET', 'huge', ...Array.from({ length: 2000 }, (_, j) => `f${i}:${j >> 1}${j % 2}`))
        return 300
      })
      link.close()
    }
    const run = await cli(['verify', '--source', source.url, '--target', target.url])
    expect([run.code, run.output]).toEqual([0, expect.stringMatching(/Keys compared: +6\n[\s\S]*VERIFIED/)])
    const bySnapshots = await cli(['verify', '-s', source.url, '-t', target.url, '--read', 'snapshots'])
    expect(bySnapshots.output).toMatch(/Keys compared: +6\n[\s\S]*VERIFIED/)
    await command(target.url, 'HSET', 'huge', 'f7:70', 'other')
    const one = await cli(['verify', '--source', source.url, '--target', target.url, '--rounds', '1'])
    expect([one.code, one.output]).toEqual([3, expect.stringContaining('huge (db 0): the hash differs')])
    const mapped = await start()
    await migration({
      source: source.url,
      target: mapped.url,
      mode: 'snapshot',
      keyTemplate: 'p:{key}',
      dbMap: { 0: 2 },
    }).start()
    const named = await cli([
      'verify',
      '--source',
      source.url,
      '--target',
      mapped.url,
      '--transform-keys',
      'p:{key}',
      '--db-map',
      '0:2',
    ])
    expect([named.code, named.output]).toEqual([0, expect.stringMatching(/Keys compared: +6\n[\s\S]*VERIFIED/)])
    const unnamed = await cli(['verify', '--source', source.url, '--target', mapped.url, '--rounds', '1'])
    expect(unnamed.code).toBe(3)
  })

  it('of many keys under a writer is told from what only moves, by snapshots', async () => {
    const [source, target] = [await start(), await start()]
    await issue(source.url, ...COMMON)
    for (let from = 0; from < 150_000; from += 5000)
      await issue(source.url, ['MSET', ...Array.from({ length: 5000 }, (_, i) => [`many:${from + i}`, `v${i}`]).flat()])
    const run = migration({ source: source.url, target: target.url, mode: 'live' })
    const over = run.start()
    await new Promise<void>((resolve) => run.on('phase', (phase) => phase === 'LIVE_SYNC' && resolve()))
    let writing = true
    const writer = (async () => {
      for (let i = 0; writing; i++) {
        await issue(
          source.url,
          ['SET', `many:${i % 500}`, `w${i}`],
          ['RPUSH', `log:${i % 50}`, i],
          ['DEL', `many:${1000 + i}`],
        )
        await sleep(3)
      }
    })()
    const equal = await cli(['verify', '-s', source.url, '-t', target.url, '--rounds', '6'])
    writing = false
    await writer
    expect([equal.code, equal.output]).toEqual([0, expect.stringContaining('VERIFIED')])
    run.stop()
    await over
    await command(target.url, 'SET', 'many:77', 'other')
    await command(target.url, 'DEL', 'many:78')
    await command(target.url, 'SET', 'extra', '1')
    const different = await cli(['verify', '-s', source.url, '-t', target.url, '--rounds', '1', '--json'])
    expect([different.code, JSON.parse(different.output)]).toMatchObject([
      3,
      { mismatched: 1, missingTarget: 1, missingSource: 1 },
    ])
  })

  it('of a file and a server, and of a Ferrite', async () => {
    const source = await start()
    await runWorkload(parseEndpoint(source.url), 1, 17, [])
    await command(source.url, 'SAVE')
    const file = join(source.directory, 'dump.rdb')
    const target = await start()
    await cli(['import-rdb', file, '--target', target.url, '--state-dir', stateDir()])
    const run = await cli(['verify', '--source', `rdb://${file}`, '--target', target.url])
    expect([run.code, run.output]).toEqual([0, expect.stringContaining('VERIFIED')])
    await command(target.url, 'SET', 'extra', '1')
    const extra = await cli(['verify', '--source', `rdb://${file}`, '--target', target.url])
    expect([extra.code, extra.output]).toEqual([3, expect.stringContaining('extra (db 0): only at the target')])
    const backend = await start()
    const emulator = await FerriteEmulator.start(parseEndpoint(backend.url))
    stops.push(() => emulator.stop())
    await migration({ source: source.url, target: emulator.url, mode: 'snapshot' }).start()
    const ferrite = await cli(['verify', '--source', source.url, '--target', emulator.url])
    expect([ferrite.code, ferrite.output]).toEqual([0, expect.stringContaining('VERIFIED')])
  })

  it('of a live migration whose keys never rest, exactly', async () => {
    const source = await start({ args: ['--repl-backlog-size', '64mb'] })
    const target = await start()
    const state = ['--state-dir', stateDir()]
    const tool = new Tool(['migrate', '--id', 'm', '-s', source.url, '-t', target.url, ...state])
    stops.push(() => tool.kill())
    await tool.says('LIVE_SYNC')
    const link = await RedisLink.open(parseEndpoint(source.url))
    let going = true
    const writing = (async () => {
      while (going)
        await link.pipeline((out) => {
          for (let i = 0; i < 20; i++) out.call('INCR', `hot:${i}`)
          return 20
        })
    })()
    try {
      for (let round = 0; round < 3; round++) {
        const run = await cli(['verify', '--id', 'm', ...state])
        expect([run.code, run.output]).toEqual([0, expect.stringMatching(/Keys compared: +\d+[\s\S]*VERIFIED/)])
      }
      await command(target.url, 'SET', 'planted', '1')
      // What would be ignored is refused.
      const narrowed = await cli(['verify', '--id', 'm', '--filter', 'a*', '--rounds', '2', ...state])
      expect(narrowed).toMatchObject({ code: 2, output: expect.stringMatching(/FM_USAGE: --filter, --rounds/) })
      const planted = await cli(['verify', '--id', 'm', ...state])
      expect([planted.code, planted.output]).toEqual([3, expect.stringContaining('planted (db 0): only at the target')])
    } finally {
      going = false
      await writing
      link.close()
    }
    tool.child.kill('SIGINT')
    await tool.over
  })
})

describe('verify-hash', () => {
  it('chooses the same keys by the same seed, finds what differs both ways, and states its confidence', async () => {
    const source = await start()
    const target = await start()
    const link = await RedisLink.open(parseEndpoint(source.url))
    await link.pipeline((out) => {
      for (let i = 0; i < 3000; i++) out.call('SET', `k:${i}`, i)
      return 3000
    })
    link.close()
    await migration({ source: source.url, target: target.url, mode: 'snapshot' }).start()
    const ends = ['--source', source.url, '--target', target.url]
    const [one, two] = [
      await cli(['verify-hash', ...ends, '--sample-rate', '0.1', '--seed', '7', '--json']),
      await cli(['verify-hash', ...ends, '--sample-rate', '0.1', '--seed', '7', '--json']),
    ]
    const report = JSON.parse(one.output)
    expect(JSON.parse(two.output).compared).toBe(report.compared)
    expect(report.compared).toBeGreaterThan(200)
    expect(report.compared).toBeLessThan(400)
    // These test servers allow DEBUG: their own digests prove to agree and are used.
    expect(report.algorithm).toBe('server')
    expect(report.oneIn).toBe(Math.floor(report.compared / 3))
    await issue(target.url, ['SET', 'extra', '1'], ['DEL', 'k:5'], ['APPEND', 'k:6', 'x'])
    for (const algorithm of ['auto', 'murmur128']) {
      const full = await cli(['verify-hash', ...ends, '--full', '--rounds', '1', '--algorithm', algorithm])
      expect([full.code, full.output]).toEqual([
        3,
        expect.stringMatching(/Mismatched: +1\nMissing source: +1\nMissing target: +1/),
      ])
    }
    const bad = await cli(['verify-hash', ...ends, '--sample-rate', '7'])
    expect([bad.code, bad.output]).toEqual([2, expect.stringContaining('no share between 0 and 1')])
  })
})

describe('benchmark', () => {
  it('is laid out as on the page, knows its own limit, and leaves no key', async () => {
    const source = await start()
    const target = await start()
    await command(source.url, 'SET', 'mine', '1')
    const file = join(mkdtempSync(join(tmpdir(), 'fm-bench-')), 'b.html')
    const run = await cli([
      'benchmark',
      '--source',
      source.url,
      '--target',
      target.url,
      '--operations',
      '2000',
      '--commands',
      'GET,SET,HSET,LPUSH,ZADD,XADD,MGET',
      '--clients',
      '5',
      '--keyspace',
      '50',
      '--html',
      file,
    ])
    expect([run.code, run.output]).toEqual([
      0,
      expect.stringMatching(
        /GET Operations \(2,000\)\n─+\n +Source +Target +Diff\nThroughput +[\d,]+\/s +[\d,]+\/s +[+-]\d+%\nP50 [\s\S]*MGET Operations[\s\S]*client's own limit: (?:at least )?[\d,]+\/s/,
      ),
    ])
    expect([await command(source.url, 'DBSIZE'), await command(target.url, 'DBSIZE')]).toEqual([1, 0])
    expect(readFileSync(file, 'utf8')).toContain('<polyline')
    const paced = JSON.parse(
      (
        await cli([
          'benchmark',
          '--source',
          source.url,
          '--target',
          target.url,
          '--operations',
          '4000',
          '--rate',
          '2000',
          '--clients',
          '4',
          '--json',
        ])
      ).output,
    )
    expect(paced.results[0].source.perSecond).toBeLessThan(2200)
    expect(paced.results[0].source.p50).toBeGreaterThan(0)
    const bad = await cli(['benchmark', '--source', source.url, '--target', target.url, '--commands', 'FLUSHALL'])
    expect([bad.code, bad.output]).toEqual([2, expect.stringContaining('cannot be measured')])
  })
})

describe('Ctrl-C', () => {
  it('ends every comparison as interrupted: what was found by then is no verdict', async () => {
    const source = await start()
    const target = await start()
    await issue(source.url, ...Array.from({ length: 2000 }, (_, i): Words => ['SET', `k:${i}`, i]))
    const ends = ['--source', source.url, '--target', target.url]
    for (const args of [
      ['compare', ...ends, '--rounds', '20'],
      ['verify', ...ends, '--rounds', '20'],
      ['analyze', '--source', source.url, '--full', '--max-rate', '200'],
    ]) {
      const tool = new Tool(args)
      // Once it has connected it listens to Ctrl-C; one connection is the question's own.
      await until(async () => {
        const info = String(await command(source.url, 'INFO', 'clients'))
        return Number(/connected_clients:(\d+)/.exec(info)?.[1]) > 1
      }, 'it is at work')
      await sleep(300)
      tool.child.kill('SIGINT')
      expect([await tool.over, tool.output]).toEqual([130, expect.stringContaining('FM_INTERRUPTED')])
    }
  })
})

describe('a verdict', () => {
  it('is not given over nothing, nor over what a rule left out', async () => {
    const [source, target] = [await start(), await start()]
    await issue(source.url, ['SET', 'a', '{"n":1}'], ['SET', 'b', 'no json'], ['SET', 'c', 'no json'])
    const ends = ['-s', source.url, '-t', target.url]
    const state = (): string[] => ['--state-dir', stateDir()]
    const nothing = await cli(['verify', ...ends, '--filter', 'nobody:*'])
    expect(nothing.output).toContain('NOTHING WAS COMPARED')
    expect(nothing.output).not.toContain('✅')
    expect(nothing.code).toBe(3)
    const rules = join(mkdtempSync(join(tmpdir(), 'fm-verdict-')), 'rules.yaml')
    writeFileSync(rules, "transformations:\n  values:\n    - {type: jq, filter: '.m = 2'}\n")
    const left = await cli([
      ...['migrate', ...ends, '-m', 'snapshot', '--transform', rules, '--on-transform-error', 'skip'],
      ...['--errors-file', join(mkdtempSync(join(tmpdir(), 'fm-verdict-')), 'errors.ndjson'), '--verify', ...state()],
    ])
    expect(left.output).toMatch(/VERIFIED, but for 2 left out/)
    expect(left.output).toMatch(/Keys compared:\s+1\b/)
    const both = await cli(['verify', '-s', target.url, '-t', target.url, '--db', '7', '--json'])
    expect(JSON.parse(both.output)).toMatchObject({ compared: 0 })
  })
})
