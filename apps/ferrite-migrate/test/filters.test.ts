import { Random } from '@ferrite-migrate/bench'
import { resumedConfig, StateStore } from '@ferrite-migrate/core'
import { globMatch, keySlot } from '@ferrite-migrate/protocol'
import { parseEndpoint, RedisLink } from '@ferrite-migrate/redis'
import type { TestServer } from '@ferrite-migrate/servers'
import type { MigrationConfig } from 'ferrite-migrate'
import { beforeEach, describe, expect, it } from 'vitest'
import { command, differences, migrateDuring, migration, stateDir } from './run.js'
import { start } from './servers.js'
import { cli } from './tool.js'
import { runWorkload } from './workload.js'

let source: TestServer
let target: TestServer
beforeEach(async () => {
  source = await start()
  target = await start()
})
const set = (...argv: string[]): Promise<unknown> => command(source.url, ...argv)
const keysOf = async (url: string): Promise<string[]> =>
  ((await command(url, 'KEYS', '*')) as Buffer[])
    .map((key) => key.toString('latin1'))
    .filter((key) => !key.startsWith('__'))
    .sort()

describe('globs and slots', () => {
  it('mean what a server says they mean', async () => {
    const random = new Random(5)
    const letters = ['a', 'b', 'c', '*', '?', '[', ']', '^', '-', '\\', '{', '}', '\x00', '\xff', '\n']
    const word = (most: number): string =>
      Array.from({ length: random.below(most) }, () => letters[random.below(letters.length)]).join('')
    const keys = [...new Set(Array.from({ length: 300 }, () => word(6)))].filter((key) => key !== '')
    const link = await RedisLink.open(parseEndpoint(source.url))
    try {
      for (const key of keys) await link.call('SET', Buffer.from(key, 'latin1'), 'x')
      const patterns = ['*', 'a*', '[^a]*', '[a-c]?', '[c-a]*', '\\**', '[\\]]*', '[a', '[', '\\', '[^', '[a-', '**a**']
      for (let i = 0; i < 1500; i++) patterns.push(word(7))
      for (const pattern of patterns) {
        const bytes = Buffer.from(pattern, 'latin1')
        const there = ((await link.call('KEYS', bytes)) as Buffer[]).map((key) => key.toString('latin1')).sort()
        const ours = keys.filter((key) => globMatch(bytes, Buffer.from(key, 'latin1'))).sort()
        expect([pattern, ours]).toEqual([pattern, there])
      }
      for (const key of [...keys, 'user:{42}:x', '{}x', '{', 'a{b}c{d}', 'x{}{y}'])
        expect([key, keySlot(Buffer.from(key, 'latin1'))]).toEqual([
          key,
          await link
            .call('CLUSTER', 'KEYSLOT', Buffer.from(key, 'latin1'))
            .catch(() => keySlot(Buffer.from(key, 'latin1'))),
        ])
    } finally {
      link.close()
    }
    // As the Cluster specification gives it.
    expect(keySlot(Buffer.from('123456789'))).toBe(0x31c3 % 16384)
  })
})

describe('a filter', () => {
  const snapshot = async (filter: MigrationConfig['filter']): Promise<string[]> => {
    await command(target.url, 'FLUSHALL')
    const report = await migration({
      source: source.url,
      target: target.url,
      mode: 'snapshot',
      verify: true,
      ...(filter === undefined ? {} : { filter }),
    }).start()
    expect(report.verification).toMatchObject({ equal: true })
    return keysOf(target.url)
  }

  it('takes keys by regular expression, size, time to live and slot, in a snapshot and in its verification', async () => {
    await set('SET', 'user:1', 'x'.repeat(100))
    await set('SET', 'user:22', 'y'.repeat(5000), 'EX', '100')
    await set('SET', 'other', '1', 'EX', '10000')
    await set('RPUSH', 'list', 'a'.repeat(3000), 'b'.repeat(3000))
    await set('HSET', 'h', 'field', 'z'.repeat(50))
    await command(source.url, 'SET', Buffer.from('user:\xff9', 'latin1'), '1')
    expect(await snapshot({ includeRegex: ['^user:\\d+$'] })).toEqual(['user:1', 'user:22'])
    expect(await snapshot({ includeRegex: ['^user:'], excludeRegex: ['22'] })).toEqual(['user:1', 'user:\xff9'])
    expect(await snapshot({ minSize: 1000 })).toEqual(['list', 'user:22'])
    expect(await snapshot({ maxSize: 55 })).toEqual(['h', 'other', 'user:\xff9'])
    expect(await snapshot({ minSize: 55, maxSize: 100 })).toEqual(['h', 'user:1'])
    expect(await snapshot({ maxTtlMs: 200_000 })).toEqual(['user:22'])
    expect(await snapshot({ minTtlMs: 200_000 })).toEqual(['h', 'list', 'other', 'user:1', 'user:\xff9'])
    const slot = keySlot(Buffer.from('list'))
    expect(await snapshot({ slots: [`${slot}-${slot}`] })).toEqual(['list'])
  })

  it('is given by flags, and a wrong one is refused', async () => {
    await set('SET', 'a1', 'x')
    await set('SET', 'a2', 'x'.repeat(2000))
    const args = ['migrate', '-s', source.url, '-t', target.url, '-m', 'snapshot']
    expect((await cli([...args, '--filter-regex', '^a', '--min-size', '1kb', '--slots', '0-16383'])).code).toBe(0)
    expect(await keysOf(target.url)).toEqual(['a2'])
    for (const wrong of [
      ['--filter-regex', '('],
      ['--slots', '5-99999'],
      ['--min-size', '8mb'],
      ['--max-ttl', 'soon'],
    ]) {
      const { code, output } = await cli([...args, ...wrong])
      expect([wrong, code, output.includes('    at ')]).toEqual([wrong, 2, false])
    }
  })

  it('stays the same when a migration is resumed, and one flag changes one part of it', async () => {
    await set('SET', 'user:1', 'x')
    await set('SET', 'other', 'x')
    await set('RPUSH', 'user:list', 'x')
    const state = stateDir()
    const run = migration({
      source: source.url,
      target: target.url,
      mode: 'live',
      filter: { include: ['user:*'], types: ['string'] },
      id: 'f1',
      stateDir: state,
    })
    const over = run.start()
    await new Promise<void>((live) => run.on('phase', (phase) => phase === 'LIVE_SYNC' && live()))
    run.stop()
    await over
    await set('SET', 'user:2', 'x')
    await set('SET', 'other:2', 'x')
    await set('RPUSH', 'user:list:2', 'x')
    const go = ['migrate', '--resume', 'f1', '--exit', '--state-dir', state]
    expect((await cli(go)).code).toBe(0)
    expect(await keysOf(target.url)).toEqual(['user:1', 'user:2'])
    const config = JSON.parse(String(new StateStore(state).get('f1').config)) as MigrationConfig
    expect(resumedConfig(new StateStore(state).get('f1'), { filter: { types: ['list'] } }).filter).toEqual({
      ...config.filter,
      types: ['list'],
    })
  })

  it('holds in the live stream: commands over its edge become writes and deletes of the right keys', async () => {
    await set('SET', 'in:1', '1')
    await set('SET', 'in:2', '2')
    await set('SET', 'out:1', '3')
    await set('SET', 'out:2', '4')
    for (const apply of ['replay', 'state'] as const) {
      await command(target.url, 'FLUSHALL')
      await command(target.url, 'SET', 'foreign', '1')
      const config = { source: source.url, target: target.url, apply, filter: { include: ['in:*', '__mark__'] } }
      await migrateDuring(config, async () => {
        await set('RENAME', 'in:1', 'out:3')
        await set('RENAME', 'out:1', 'in:3')
        await set('COPY', 'out:2', 'in:4')
        await set('COPY', 'in:2', 'out:5')
        await set('MSET', 'in:5', 'a', 'out:6', 'b')
        await set('DEL', 'in:2', 'out:5')
        await set('MOVE', 'in:5', '3')
        await command(`${source.url}/3`, 'SET', 'in:6', '1')
        await command(`${source.url}/3`, 'MOVE', 'in:6', '0')
        await set('SADD', 'out:set', 'x')
        await set('SUNIONSTORE', 'in:set', 'out:set', 'in:none')
        await set('LPUSH', 'out:list', 'a', 'b')
        await set('LMOVE', 'out:list', 'in:list', 'LEFT', 'RIGHT')
      })
      const here = (await keysOf(source.url)).filter((key) => key.startsWith('in:'))
      expect([apply, await keysOf(target.url)]).toEqual([apply, ['foreign', ...here].sort()])
      expect(await differences(source.url, target.url, { include: ['in:*'] })).toEqual([])
      await migrateDuring(config, () => set('FLUSHALL'))
      expect([apply, await keysOf(target.url)]).toEqual([apply, ['foreign']])
      expect(await keysOf(`${target.url}/3`)).toEqual([])
      for (const [key, value] of [
        ['in:1', '1'],
        ['in:2', '2'],
        ['out:1', '3'],
        ['out:2', '4'],
      ])
        await set('SET', key, value)
    }
  })

  it('by regular expression follows a writer of every write command', async () => {
    await runWorkload(parseEndpoint(source.url), 1, 51)
    const workload = runWorkload(parseEndpoint(source.url), 4, 52)
    const filter = { includeRegex: ['^(s|l|h|z):\\d*[02468]$', '^__mark__$'] }
    await migrateDuring({ source: source.url, target: target.url, filter }, () => workload)
    const args = ['verify', '-s', source.url, '-t', target.url]
    const verified = await cli([...args, ...filter.includeRegex.flatMap((one) => ['--filter-regex', one])])
    expect([verified.code, verified.output]).toEqual([0, expect.stringContaining('VERIFIED')])
    expect((await keysOf(target.url)).filter((key) => !/^(s|l|h|z):\d*[02468]$/.test(key))).toEqual([])
  })
})
