import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseEndpoint, RedisKeyReader, RedisLink } from '@ferrite-migrate/redis'
import type { TestServer } from '@ferrite-migrate/servers'
import type { MigrationConfig, MigrationReport } from 'ferrite-migrate'
import { afterAll, beforeEach, describe, expect, it } from 'vitest'
import { command, differences, migrateDuring, migration, stateDir } from './run.js'
import { start } from './servers.js'
import { cli, Tool } from './tool.js'
import { runWorkload } from './workload.js'

const directory = mkdtempSync(join(tmpdir(), 'fm-transform-'))
afterAll(() => rmSync(directory, { recursive: true }))
let files = 0

/** A file of its own. */
function file(extension: string, text: string): string {
  const path = join(directory, `${files++}.${extension}`)
  writeFileSync(path, text)
  return path
}

const rules = (keys: string, values = ''): string =>
  file('yaml', `transformations:\n${keys && `  keys:\n${keys}`}${values && `  values:\n${values}`}`)

let source: TestServer
let target: TestServer
beforeEach(async () => {
  source = await start()
  target = await start()
})
const ends = (): { source: string; target: string } => ({ source: source.url, target: target.url })
const set = (...argv: string[]): Promise<unknown> => command(source.url, ...argv)
const get = async (...argv: string[]): Promise<string> => String(await command(target.url, ...argv))
const snapshot = (config: Partial<MigrationConfig>): Promise<MigrationReport> =>
  migration({
    mode: 'snapshot',
    verify: true,
    errorsFile: join(directory, `errors-${files++}.ndjson`),
    ...ends(),
    ...config,
  }).start()

/** Gives every key of the target the name that `back` makes of it. */
async function renameAll(url: string, back: (key: string) => string): Promise<void> {
  const reader = new RedisKeyReader(parseEndpoint(url))
  const link = await RedisLink.open(parseEndpoint(url))
  try {
    for await (const page of reader.keys())
      for (const { db, key } of page) {
        const name = key.toString('latin1')
        if (name.startsWith('__ferrite_migrate__')) continue
        await link.call('SELECT', db)
        await link.call('RENAME', key, Buffer.from(back(name), 'latin1'))
      }
  } finally {
    link.close()
    await reader.close()
  }
}

describe('names', () => {
  it('follow a writer of every write command by replay and by state', async () => {
    for (const [apply, seed] of [
      ['replay', 20],
      ['state', 30],
    ] as const) {
      for (const { url } of [source, target]) await command(url, 'FLUSHALL')
      await runWorkload(parseEndpoint(source.url), 1, seed)
      const workload = runWorkload(parseEndpoint(source.url), 5, seed + 1)
      const config = { ...ends(), apply, transform: rules('    - type: prefix\n      value: "new:"\n') }
      const report = await migrateDuring(config, () => workload, 'new:__mark__')
      expect(report.status.apply).toBe(apply)
      expect(report.failures).toEqual([])
      await renameAll(target.url, (key) => {
        expect(key).toMatch(/^new:/)
        return key.slice(4)
      })
      expect(await differences(source.url, target.url)).toEqual([])
    }
  })

  it('follow a writer of every write command where rules hide what a key was called', async () => {
    const transform = rules(
      '    - {type: strip_prefix, value: "s:"}\n    - {type: rename, from: "^(n|h|l):(.*)$", to: "$2@$1"}\n',
    )
    for (const [apply, seed] of [
      ['replay', 60],
      ['state', 62],
    ] as const) {
      for (const { url } of [source, target]) await command(url, 'FLUSHALL')
      await runWorkload(parseEndpoint(source.url), 1, seed)
      const workload = runWorkload(parseEndpoint(source.url), 5, seed + 1)
      const report = await migrateDuring({ ...ends(), apply, transform }, () => workload)
      expect(report.status.apply).toBe(apply)
      expect(report.failures).toEqual([])
      const verified = await cli(['verify', '-s', source.url, '-t', target.url, '--transform', transform])
      expect([apply, verified.code]).toEqual([apply, 0])
      await renameAll(target.url, (key) => key.replace(/^(\d+)$/, 's:$1').replace(/^(.*)@([nhl])$/, '$2:$1'))
      expect([apply, await differences(source.url, target.url)]).toEqual([apply, []])
    }
  })

  it('follow a script by replay, and databases move', async () => {
    const script = file('mjs', `export const transformKey = (key) => key === '__mark__' ? key : key + ':x'`)
    await runWorkload(parseEndpoint(source.url), 1, 41)
    const workload = runWorkload(parseEndpoint(source.url), 4, 42, [])
    const report = await migrateDuring(
      { ...ends(), transformScript: script, dbMap: { 1: 7, 3: 1, 7: 3 } },
      () => workload,
    )
    expect(report.status.apply).toBe('replay')
    await command(target.url, 'SWAPDB', '1', '3')
    await command(target.url, 'SWAPDB', '1', '7')
    await renameAll(target.url, (key) => key.replace(/:x$/, ''))
    expect(await differences(source.url, target.url)).toEqual([])
  })

  it('are made by the rules in order, limited by match and db, byte-safe, and verified', async () => {
    const binary = Buffer.from('old_user:\xff\xfe', 'latin1')
    await command(source.url, 'SET', binary, 'b')
    await command(source.url, 'SET', Buffer.from('old_user:Zoë'), '1')
    await set('SET', 'legacy:thing', '2')
    await set('SET', 'other', '3')
    await command(`${source.url}/2`, 'SET', 'other', '4')
    const transform = rules(
      [
        '    - {type: rename, from: "^old_(user):(.*)$", to: "$1/$2"}',
        '    - {type: strip_prefix, value: "legacy:"}',
        '    - {type: prefix, value: "two:", db: 2}',
        '    - {type: prefix, value: "é:", match: ["oth*", "legacy:*"]}',
        '',
      ].join('\n'),
    )
    const report = await snapshot({ transform })
    expect(report.verification).toMatchObject({ equal: true, compared: 5 })
    expect(await command(target.url, 'EXISTS', Buffer.from('user/\xff\xfe', 'latin1'))).toBe(1)
    const named = async (name: string, db = 0): Promise<string> =>
      String(await command(`${target.url}/${db}`, 'GET', Buffer.from(name)))
    expect(await named('user/Zoë')).toBe('1')
    expect(await named('é:thing')).toBe('2')
    expect(await named('é:other')).toBe('3')
    expect(await named('é:two:other', 2)).toBe('4')
    // What no name explains is found, and what differs too.
    await command(target.url, 'SET', 'nobody', 'x')
    await command(target.url, 'SET', Buffer.from('é:other'), 'changed')
    const args = ['-s', source.url, '-t', target.url, '--transform', transform, '--rounds', '1']
    const verified = await cli(['verify', ...args, '--json'])
    expect(verified.code).toBe(3)
    expect(JSON.parse(verified.output)).toMatchObject({ mismatched: 1, missingSource: 1, missingTarget: 0 })
    await cli(['compare', ...args, '--repair', '--delete-extra'])
    expect((await cli(['verify', ...args])).code).toBe(0)
    expect(await named('é:other')).toBe('3')
    expect(await get('EXISTS', 'nobody')).toBe('0')
  })

  it('that meet are found: two keys of the source that become one', async () => {
    await set('SET', 'a:1', 'x')
    await set('SET', 'b:1', 'y')
    const transform = rules('    - {type: rename, from: "^[ab]:", to: "c:"}\n')
    await expect(snapshot({ transform })).rejects.toMatchObject({ code: 'FM_TRANSFORM_COLLISION' })
    const report = await snapshot({ transform, onCollision: 'last', verify: false })
    expect(report.notCarried).toMatchObject([{ count: 1, examples: ['c:1'] }])
    // Live: one goes, another takes its name, which is no collision; then one comes that is.
    await command(source.url, 'DEL', 'b:1')
    const quiet = await migrateDuring({ ...ends(), transform }, async () => {
      await set('DEL', 'a:1')
      await set('SET', 'b:1', 'z')
    })
    expect(quiet.status.state).toBe('INTERRUPTED')
    expect(await get('GET', 'c:1')).toBe('z')
    for (const apply of ['replay', 'state'] as const) {
      await command(target.url, 'FLUSHALL')
      await set('DEL', 'a:1')
      const live = migrateDuring({ ...ends(), transform, apply }, () => set('SET', 'a:1', 'again'))
      await expect(live).rejects.toMatchObject({ code: 'FM_TRANSFORM_COLLISION' })
    }
  })

  it('that meet are found after an interruption too, unless the filter leaves one of them out', async () => {
    await set('SET', 'a:1', 'x')
    await command(source.url, 'RPUSH', 'b:2', 'left out')
    const state = stateDir()
    const transform = rules('    - {type: rename, from: "^[ab]:", to: "c:"}\n')
    const interrupted = async (id: string): Promise<() => ReturnType<typeof cli>> => {
      const run = migration({ ...ends(), mode: 'live', transform, filter: { types: ['string'] }, id, stateDir: state })
      const over = run.start()
      await new Promise<void>((live) => run.on('phase', (phase) => phase === 'LIVE_SYNC' && live()))
      run.stop()
      await over
      return () => cli(['migrate', '--resume', id, '--exit', '--state-dir', state])
    }
    const first = await interrupted('m3')
    await set('SET', 'a:2', 'alone')
    const quiet = await first()
    expect([quiet.code, quiet.output]).toEqual([0, expect.stringMatching(/going on from/)])
    expect(await get('GET', 'c:2')).toBe('alone')
    const second = await interrupted('m4')
    await set('SET', 'b:1', 'y')
    const met = await second()
    expect([met.code, met.output]).toEqual([1, expect.stringContaining('FM_TRANSFORM_COLLISION')])
  })

  it('FLUSHALL, FLUSHDB and vanished keys take only what came from the source', async () => {
    const transform = rules('    - type: prefix\n      value: "mine:"\n')
    await set('SET', 'a', '1')
    await command(`${source.url}/1`, 'SET', 'b', '1')
    await command(target.url, 'SET', 'foreign', '1')
    for (const apply of ['replay', 'state'] as const) {
      await migrateDuring(
        { ...ends(), transform, apply },
        async () => {
          await command(`${source.url}/1`, 'FLUSHDB')
          await set('SET', 'kept', '1')
        },
        'mine:__mark__',
      )
      expect(await get('EXISTS', 'foreign', 'mine:a', 'mine:kept')).toBe('3')
      expect(await command(`${target.url}/1`, 'DBSIZE')).toBe(0)
      await migrateDuring({ ...ends(), transform, apply }, () => set('FLUSHALL'), 'mine:__mark__')
      const left = (await get('KEYS', '*')).split(',').filter((key) => !key.startsWith('__ferrite_migrate__'))
      expect([apply, ...left.sort()]).toEqual([apply, 'foreign', 'mine:__mark__'])
      await set('SET', 'a', '1')
      await command(`${source.url}/1`, 'SET', 'b', '1')
    }
  })

  it('can be rolled back, where rules hide what a key was called too', async () => {
    for (let i = 0; i < 50; i++) await set('SET', `old:${i}`, 'x')
    const state = stateDir()
    const transform = rules('    - {type: rename, from: "^old:", to: "new:"}\n')
    const args = ['-s', source.url, '-t', target.url, '--transform', transform, '--state-dir', state]
    expect((await cli(['migrate', ...args, '-m', 'snapshot', '--id', 'm1'])).code).toBe(0)
    await command(target.url, 'SET', 'foreign', '1')
    expect(await get('DBSIZE')).toBe('51')
    expect((await cli(['rollback', '--id', 'm1', '--state-dir', state])).code).toBe(0)
    expect(await get('DBSIZE')).toBe('1')
  })

  it('an interrupted migration goes on with the same rules only', async () => {
    for (let i = 0; i < 50; i++) await set('SET', `k${i}`, 'x')
    const state = stateDir()
    const transform = rules('    - {type: prefix, value: "p:"}\n')
    const run = migration({ ...ends(), mode: 'live', transform, id: 'm2', stateDir: state })
    const over = run.start()
    await new Promise<void>((resolve) => run.on('phase', (phase) => phase === 'LIVE_SYNC' && resolve()))
    run.stop()
    await over
    writeFileSync(transform, readFileSync(transform, 'utf8').replace('p:', 'q:'))
    const refused = await cli(['migrate', '--resume', 'm2', '--exit', '--state-dir', state])
    expect([refused.code, refused.output]).toEqual([2, expect.stringContaining('FM_RESUME_TRANSFORM')])
    writeFileSync(transform, readFileSync(transform, 'utf8').replace('q:', 'p:'))
    await set('SET', 'later', '1')
    const resumed = await cli(['migrate', '--resume', 'm2', '--exit', '--verify', '--state-dir', state])
    expect(resumed.code).toBe(0)
    expect(await get('GET', 'p:later')).toBe('1')
  })
})

describe('values', () => {
  it('are converted and filtered in a snapshot, live under a writer, and in a verification', async () => {
    for (let i = 0; i < 300; i++) {
      await set('SET', `user:${i}`, JSON.stringify({ id: i }))
      await set('HSET', `h:${i % 20}`, `f${i}`, JSON.stringify({ f: i }), 'raw', 'plain')
      await set('RPUSH', `l:${i % 10}`, JSON.stringify({ l: i }))
    }
    await set('EXPIRE', 'user:1', '1000')
    const transform = rules(
      '',
      [
        `    - {type: jq, filter: '.status = "migrated"', match: "user:*"}`,
        `    - {type: jq, filter: '.f += 1', types: [hash], path: "f*"}`,
        `    - {type: jq, filter: '.last = true', types: [list], path: -1}`,
        '    - {type: convert, from: json, to: msgpack, types: [string], match: "user:2*"}',
        '',
      ].join('\n'),
    )
    const check = async (): Promise<void> => {
      expect(await get('GET', 'user:1')).toMatch(/"status":"migrated"/)
      expect(Number(await get('TTL', 'user:1'))).toBeGreaterThan(900)
      expect(await get('HGET', 'h:3', 'f3')).toBe('{"f":4}')
      expect(await get('HGET', 'h:3', 'raw')).toBe('plain')
      expect(await get('LINDEX', 'l:3', '-1')).toMatch(/"last":true/)
      expect(await get('LINDEX', 'l:3', '0')).toBe('{"l":3}')
      expect(((await command(target.url, 'GET', 'user:2')) as Buffer)[0]).toBe(0x82)
    }
    const first = await snapshot({ transform })
    expect(first.verification).toMatchObject({ equal: true })
    await check()
    await command(target.url, 'FLUSHALL')
    const live = await migrateDuring(
      { ...ends(), transform },
      async () => {
        for (let i = 0; i < 3000; i++) {
          await set('SET', `user:${i % 300}`, JSON.stringify({ id: i, n: 'x' }), 'KEEPTTL')
          await set('HSET', `h:${i % 20}`, `f${i % 40}`, JSON.stringify({ f: i }))
          await set('RPUSH', `l:${i % 10}`, JSON.stringify({ l: i }))
          await set('LPOP', `l:${i % 10}`)
          if (i % 50 === 0) await set('DEL', `user:${(i * 7) % 300}`)
        }
      },
      '__mark__',
    )
    expect(live.status.apply).toBe('state')
    const verified = await cli(['verify', '-s', source.url, '-t', target.url, '--transform', transform])
    expect(verified.code).toBe(0)
    expect((await cli(['verify', '-s', source.url, '-t', target.url, '--rounds', '1'])).code).toBe(3)
  })

  it('that cannot be transformed end the run, are left out, or are carried, each with its reason', async () => {
    await set('SET', 'good', '{"a":1}')
    await set('SET', 'bad', 'no json')
    await set('SET', 'many', '[1,2]')
    const transform = rules('', `    - {type: jq, filter: 'if type == "array" then .[] else .b = 2 end'}\n`)
    await expect(snapshot({ transform })).rejects.toMatchObject({ code: 'FM_TRANSFORM_VALUE' })
    await command(target.url, 'FLUSHALL')
    const errorsFile = join(directory, 'errors.ndjson')
    const skipped = await snapshot({ transform, onTransformError: 'skip', errorsFile })
    expect(skipped.verification).toMatchObject({ equal: true })
    expect(skipped.notCarried).toMatchObject([{ count: 2 }])
    expect(await get('KEYS', '*')).toBe('good')
    const lines = readFileSync(errorsFile, 'utf8')
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as { key: string; reason: string })
      .sort((a, b) => (a.key < b.key ? -1 : 1))
    expect(lines).toMatchObject([
      { key: 'bad', reason: 'it is no JSON' },
      { key: 'many', reason: expect.stringContaining('2 results') },
    ])
    const passed = await snapshot({ transform, onTransformError: 'pass' })
    expect(passed.verification).toMatchObject({ equal: true })
    expect(await get('GET', 'bad')).toBe('no json')
    expect(await get('GET', 'good')).toBe('{"a":1,"b":2}')
  })

  it('whose script hangs do not keep the tool from stopping, and are read again', async () => {
    for (let i = 0; i < 2500; i++) await set('SET', `k${i}`, i === 1700 ? 'hang' : `v${i}`)
    const script = file(
      'py',
      'def transform_value(key, value, type):\n    while value == "hang": pass\n    return value + "!"',
    )
    const state = stateDir()
    const id = 'mig_hangs'
    const args = ['-s', source.url, '-t', target.url, '-m', 'snapshot', '--transform-script', script, '--id', id]
    const tool = new Tool(['migrate', ...args, '--script-timeout', '1h', '--state-dir', state])
    // The script waits for its one value by then.
    await tool.says(/INITIAL_SYNC +\d+%/)
    tool.child.kill('SIGINT')
    const stoppedAt = Date.now()
    expect(await tool.over, tool.output).toBe(130)
    expect(tool.output).toContain('Error FM_INTERRUPTED: a rule or script was still at work')
    expect(Date.now() - stoppedAt).toBeLessThan(60_000)
    await set('SET', 'k1700', 'v1700')
    const { code, output } = await cli(['migrate', '--resume', id, '--state-dir', state])
    expect(code, output).toBe(0)
    expect(await get('DBSIZE')).toBe('2500')
    for (const i of [0, 1700, 2499]) expect(await get('GET', `k${i}`)).toBe(`v${i}!`)
  })

  it('of every type pass through scripts in JavaScript, TypeScript and Python', async () => {
    const javascript = `
      const up = (x) => typeof x === 'string' ? x.toUpperCase() : x
      export function transformValue(key, value, type) {
        switch (type) {
          case 'string': return up(value)
          case 'list': return value.map(up)
          case 'set': return new Set([...value].map(up))
          case 'zset': return new Map([...value].map(([m, s]) => [up(m), s * 2]))
          case 'hash': return value instanceof Map ? new Map([...value].map(([f, v]) => [f, up(v)])) : Object.fromEntries(Object.entries(value).map(([f, v]) => [f, up(v)]))
          case 'stream': return value.map(({ id, fields }) => ({ id, fields: fields.map(([f, v]) => [f, up(v)]) }))
        }
      }`
    const typescript = `import type { TransformValue } from '@ferrite-migrate/transform-script/script'\n${javascript.replace('(x) =>', '(x: string | Uint8Array): any =>').replace('(key, value, type)', '(key: string, value: any, type: string): any')}`
    const python = `
up = lambda x: x.upper() if isinstance(x, str) else x
def transform_value(key, value, type):
    if type == 'string': return up(value)
    if type == 'list': return [up(x) for x in value]
    if type == 'set': return {up(x) for x in value}
    if type == 'zset': return {up(m): s * 2 for m, s in value.items()}
    if type == 'hash': return {f: up(v) for f, v in value.items()}
    return [(id, [(f, up(v)) for f, v in fields]) for id, fields in value]
`
    await set('SET', 's', 'text')
    await command(source.url, 'SET', 'binary', Buffer.from([255, 97, 0, 13, 10]))
    await set('RPUSH', 'l', 'a', 'b')
    await set('SADD', 'set', 'a', 'b')
    await set('SADD', 'ints', '1', '2')
    await set('ZADD', 'z', '1.5', 'a', 'inf', 'b', '-inf', 'c', '0.1', 'd')
    await set('HSET', 'h', 'f', 'v', '__proto__', 'odd', '1', 'x')
    await command(source.url, 'HSET', 'hb', Buffer.from([200]), 'v')
    await set('XADD', 'x', '1-1', 'f', 'v', 'f', 'w')
    await set('XGROUP', 'CREATE', 'x', 'g', '0')
    for (const script of [
      file('js', javascript.replace('export ', '')),
      file('mjs', javascript),
      file('ts', typescript),
      file('py', python),
    ]) {
      await command(target.url, 'FLUSHALL')
      const report = await snapshot({ transformScript: script })
      expect(report.verification).toMatchObject({ equal: true, compared: 9 })
      expect(await get('GET', 's')).toBe('TEXT')
      expect(await command(target.url, 'GET', 'binary')).toEqual(Buffer.from([255, 97, 0, 13, 10]))
      expect(await get('LRANGE', 'l', '0', '-1')).toBe('A,B')
      expect((await get('SMEMBERS', 'set')).split(',').sort()).toEqual(['A', 'B'])
      expect(await get('ZRANGE', 'z', '0', '-1', 'WITHSCORES')).toBe('C,-inf,D,0.20000000000000001,A,3,B,inf')
      expect(await get('HGET', 'h', '__proto__')).toBe('ODD')
      expect(await get('HLEN', 'h')).toBe('3')
      expect(await get('XRANGE', 'x', '-', '+')).toBe('1-1,f,V,f,W')
      expect(await get('XINFO', 'GROUPS', 'x')).toContain('name,g')
    }
  })

  it('follow a script live, in order, with two threads', async () => {
    const script = file(
      'js',
      `function transformValue(key, value, type) { return key === '__mark__' ? value : '<' + value + '>' }`,
    )
    for (let i = 0; i < 500; i++) await set('SET', `k${i}`, `v${i}`)
    const config = { ...ends(), transformScript: script, scriptOptions: { workers: 2 } }
    await migrateDuring(config, async () => {
      for (let round = 0; round < 20; round++)
        for (let i = 0; i < 40; i++) await set('APPEND', `k${i}`, String(round % 10))
    })
    for (let i = 0; i < 500; i++)
      expect(await get('GET', `k${i}`)).toBe(`<v${i}${i < 40 ? '01234567890123456789' : ''}>`)
  })

  it('follow a script in Python live, which sees names and values of every change', async () => {
    const script = file(
      'py',
      [
        'import json',
        'def transform_key(key):',
        '    return key.replace("v1:", "v2:") if key.startswith("v1:") else key',
        'def transform_value(key, value, type):',
        '    if type == "string" and key.startswith("user:"):',
        '        data = json.loads(value)',
        '        data["migrated"] = True',
        '        return json.dumps(data)',
        '    return value',
        '',
      ].join('\n'),
    )
    const KEYS = 100
    const round = async (n: number): Promise<void> => {
      for (let i = 0; i < KEYS; i++) {
        await set('SET', `user:${i}`, JSON.stringify({ n }))
        await set('INCR', `v1:count:${i}`)
        await set('RPUSH', `v1:list:${i}`, String(n))
      }
      await set('DEL', `user:${n}`)
      await set('RENAME', `v1:list:${n}`, `v1:renamed:${n}`)
    }
    await round(0)
    await migrateDuring({ ...ends(), transformScript: script }, async () => {
      for (let n = 1; n < 10; n++) await round(n)
    })
    expect(JSON.parse(await get('GET', 'user:50'))).toEqual({ n: 9, migrated: true })
    expect(await get('EXISTS', 'user:9', 'v2:list:9', 'v1:count:1')).toBe('0')
    expect([await get('GET', 'v2:count:50'), await get('LRANGE', 'v2:list:50', '0', '-1')]).toEqual([
      '10',
      '0,1,2,3,4,5,6,7,8,9',
    ])
    expect(await get('LRANGE', 'v2:renamed:9', '0', '-1')).toBe('0,1,2,3,4,5,6,7,8,9')
    const verified = await cli(['verify', '-s', source.url, '-t', target.url, '--transform-script', script, '--json'])
    expect([verified.code, JSON.parse(verified.output)]).toMatchObject([0, { mismatched: 0, missingTarget: 0 }])
  })
})

describe('a rule', () => {
  const fails = async (text: string): Promise<string> => {
    const path = file('yaml', text)
    const result = await cli(['transform', 'test', '-t', path, '--source', source.url])
    expect(result.code).toBe(2)
    return result.output
  }

  it('that is wrong is told with its line and column', async () => {
    expect(await fails('transformations:\n  keys:\n    - {type: prefix}\n')).toMatch(
      /line 3, column \d+.*value.*missing/,
    )
    expect(await fails('transformations:\n  keys:\n    - {type: prefix, value: 5}\n')).toMatch(/line 3.*value/)
    expect(await fails('transformations:\n  keys:\n    - {type: upper, value: x}\n')).toMatch(/line 3.*type/)
    expect(await fails('transformations:\n  values:\n    - {type: jq, filter: ".a["}\n')).toMatch(
      /line 3, column \d+.*jq/,
    )
    expect(await fails('transformations:\n  values:\n    - {type: convert, from: msgpack, to: gzip}\n')).toMatch(
      /line 3.*two rules/,
    )
    expect(await fails('transformations:\n  values:\n    - {type: nothing-known}\n')).toMatch(
      /line 3.*no installed plugin/,
    )
    expect(await fails('transformations:\n  keys:\n    - {type: rename, from: "(a)\\\\1", to: ""}\n')).toMatch(
      /line 3.*regular expression/,
    )
    expect(await fails('transformations:\n  keys:\n    - {type: rename, from: "a", to: "$2"}\n')).toMatch(
      /line 3.*group 2/,
    )
    expect(await fails('transformation: {}\n')).toMatch(/line 1.*no such field/)
  })

  it('with a catastrophic regular expression does not hang', async () => {
    await set('SET', `${'a'.repeat(50_000)}!`, '1')
    const transform = rules(
      '    - {type: rename, from: "^(a+)+$", to: "b"}\n    - {type: rename, from: "(x*)*y", to: "b"}\n',
    )
    const report = await snapshot({ transform })
    expect(report.verification).toMatchObject({ equal: true })
  })

  it('is shown before and after by transform test, which writes nothing', async () => {
    await set('SET', 'user:1', '{"a":1}')
    await set('SET', 'user:2', 'no json')
    const path = rules('    - {type: prefix, value: "new:"}\n', `    - {type: jq, filter: '.b = 2'}\n`)
    const args = ['transform', 'test', '-t', path, '--source', source.url, '--keys', 'user:*', '--limit', '20']
    const shown = await cli(args)
    expect(shown.code).toBe(1)
    expect(shown.output).toMatch(/user:1 {2}\[string\] +│ new:user:1/)
    expect(shown.output).toMatch(/\{"a":1\} +│ \{"a":1,"b":2\}/)
    expect(shown.output).toMatch(/no json +│ it is no JSON/)
    const json = JSON.parse((await cli([...args, '--json'])).output) as { keys: unknown[]; failed: number }
    expect([json.keys.length, json.failed]).toEqual([2, 1])
    expect(await get('DBSIZE')).toBe('0')
    expect(await command(source.url, 'DBSIZE')).toBe(2)
  })
})
