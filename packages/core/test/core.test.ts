import { mkdtempSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { ChangeRecord, KeyReader } from '@ferrite-migrate/contracts'
import { commandRecord, FingerprintSet } from '@ferrite-migrate/protocol'
import { describe, expect, it } from 'vitest'
import { ChangeRouter } from '../dist/engine/changes/change-router.js'
import { type StoppableShard, StreamStop, type StreamStopNeeds } from '../dist/engine/changes/stream-stop.js'
import { LaterEnds } from '../dist/engine/expiry/later-end.js'
import { ErrorRate } from '../dist/engine/lanes/error-rate.js'
import { Gate } from '../dist/engine/lanes/gate.js'
import { LanePool } from '../dist/engine/lanes/lane-pool.js'
import {
  hasSecret,
  logLevelFrom,
  parseConfig,
  printableKey,
  RecordFilter,
  Registry,
  redactUrl,
  resolveConfig,
  StateStore,
  storableConfig,
} from '../dist/index.js'
import { PassSchedule } from '../dist/migration/pass-schedule.js'
import { DirtySet } from '../dist/records/dirty-set.js'

const filter = (config: object = {}) =>
  new RecordFilter({ include: [], exclude: [], types: [], dbs: [], expiry: 'any', ...config })
const command = (...words: string[]): ChangeRecord =>
  commandRecord(
    0,
    words.map((word) => Buffer.from(word)),
    Date.now(),
  )
const words = (record: ChangeRecord): string => record.argv.map(String).join(' ')

describe('configuration', () => {
  it('fills in defaults', () =>
    expect(resolveConfig({ source: 'a', target: 'b' })).toMatchObject({
      mode: 'live',
      batchSize: 1000,
      onConflict: 'replace',
    }))
  it('names every wrong field', () => {
    expect(() => resolveConfig({ source: '', target: 'b', parallel: 0, colour: 'red' } as never)).toThrow(
      expect.objectContaining({
        code: 'FM_CONFIG_INVALID',
        message: expect.stringMatching(/source.*parallel.*colour/),
      }),
    )
  })
  it('takes secrets out of URLs', () => expect(redactUrl('redis://u:p@ss@h:1/2?password=x')).toBe('redis://h:1/2'))
  it('reads log levels as the page shows', () => {
    expect(logLevelFrom({ RUST_LOG: 'debug' })).toBe('debug')
    expect(logLevelFrom({ RUST_LOG: 'ferrite_migrate=trace', FERRITE_MIGRATE_LOG: 'warn' })).toBe('warn')
  })
  it('prints any key', () => expect(printableKey(Buffer.from([65, 0, 255, 92]))).toBe('A\\x00\\xff\\x5c'))
})

describe('filter', () => {
  it('includes, excludes and chooses databases', () => {
    const one = filter({ include: ['user:*', 'data:*'], exclude: ['*:tmp'], dbs: [0, 2] })
    expect(one.takesKey(0, Buffer.from('user:1'))).toBe(true)
    expect(one.takesKey(1, Buffer.from('user:1'))).toBe(false)
    expect(one.takesKey(2, Buffer.from('data:tmp'))).toBe(false)
    expect(one.takesKey(0, Buffer.from('other'))).toBe(false)
  })
  it('knows when it needs the value', () => {
    expect(filter({ types: ['hash'] }).needsValue).toBe(true)
    expect(filter({ include: ['a'] }).needsValue).toBe(false)
  })
})

describe('change router', () => {
  const make = (options: Partial<ConstructorParameters<typeof ChangeRouter>[0]> = {}) => {
    const pending = new DirtySet()
    const held = new DirtySet()
    const ends = new LaterEnds('hold')
    return {
      pending,
      held,
      ends,
      router: new ChangeRouter(
        {
          apply: 'replay',
          filter: filter(),
          knows: () => true,
          relativeExpiry: false,
          flushesAll: true,
          renames: false,
          ...options,
        },
        ends,
        pending,
        held,
      ),
    }
  }
  it('forwards what it can, verbatim', () => {
    const records = [command('SET', 'a', '1'), command('INCR', 'b')]
    expect(make().router.route(records).forward).toEqual(records)
  })
  it('makes dirty what the target lacks and what scripts touch, and what follows on the same key', () => {
    const { router } = make({ knows: (name) => name !== 'HSETEX' })
    const routed = router.route([
      command('HSETEX', 'h', 'EX', '1', 'FIELDS', '1', 'f', 'v'),
      command('EVAL', 'x', '1', 'k'),
      command('HSET', 'h', 'g', '1'),
      command('SET', 'other', '1'),
    ])
    expect(routed.forward.map(words)).toEqual(['SET other 1'])
    expect(routed.dirty.map(({ key }) => String(key))).toEqual(['h', 'k', 'h'])
  })
  it('cuts multi-key commands down to what the filter takes', () => {
    const { router } = make({ filter: filter({ include: ['a*'] }) })
    const routed = router.route([
      command('DEL', 'a1', 'b1', 'a2'),
      command('MSET', 'a1', '1', 'b1', '2'),
      command('RENAME', 'a1', 'b2'),
      command('SET', 'b', '1'),
    ])
    expect(routed.forward.map(words)).toEqual(['DEL a1 a2', 'MSET a1 1'])
    expect(routed.dirty.map(({ key }) => String(key))).toEqual(['a1'])
  })
  it('flushes only its own keys under a filter', () => {
    const { router } = make({ filter: filter({ include: ['a*'] }) })
    const routed = router.route([command('SET', 'a1', '1'), command('FLUSHALL')])
    expect(routed.flush).toEqual([])
    expect(routed.forward.map(words)).toEqual(['DEL a1'])
  })
  it('holds short expiries back, follows them, and forgets them with DEL', () => {
    const { router, held, ends } = make()
    const soon = String(Date.now() + 5000)
    const routed = router.route([command('PEXPIREAT', 'k', soon), command('RENAME', 'k', 'k2')])
    expect(Number(String(routed.forward[0].argv[2]))).toBeGreaterThan(Date.now() + 3_600_000)
    expect(held.has(0, Buffer.from('k2'))).toBe(true)
    router.route([command('DEL', 'k2')])
    expect(held.has(0, Buffer.from('k2'))).toBe(false)
    ends.how = 'read'
    expect(words(router.route([command('PEXPIREAT', 'k', soon)]).forward[0])).toBe(`PEXPIREAT k ${soon}`)
    const atOnce = router.route([command('PEXPIREAT', 'k', String(Date.now() + 10))])
    expect([atOnce.forward.length, atOnce.dirty.map(({ key }) => String(key))]).toEqual([0, ['k']])
  })
  it('takes conditions off an expiry: at the target they would be held against another one', () => {
    const { router } = make()
    const later = String(Date.now() + 3_600_000)
    const routed = router.route([command('PEXPIREAT', 'k', later, 'GT'), command('PEXPIREAT', 'k', later)])
    expect(routed.forward.map(words)).toEqual([`PEXPIREAT k ${later}`, `PEXPIREAT k ${later}`])
  })
  it('puts ends of a file off that have passed or are near', () => {
    const { router, ends } = make()
    ends.how = 'postpone'
    const far = String(Date.now() + 90 * 3_600_000)
    const routed = router.route([
      command('SET', 'k', 'v', 'PXAT', '1700000000000'),
      command('PEXPIREAT', 'k', far, 'NX'),
    ])
    expect(routed.forward.map(words)).toEqual(['SET k v PXAT 9700000000000', `PEXPIREAT k ${far}`])
  })
  it('turns relative expiries into absolute ones', () => {
    const { router } = make({ relativeExpiry: true })
    const at = Date.now()
    const [set, expire] = router.route([
      commandRecord(
        0,
        ['SETEX', 'k', '1000', 'v'].map((word) => Buffer.from(word)),
        at,
      ),
    ]).forward
    expect(words(set)).toBe('SET k v')
    expect(words(expire)).toBe(`PEXPIREAT k ${at + 1_000_000}`)
  })
  it('drops what Sentinels say', () =>
    expect(
      make()
        .router.route([command('PUBLISH', '__sentinel__:hello', 'x'), command('PUBLISH', 'news', 'x')])
        .forward.map(words),
    ).toEqual(['PUBLISH news x']))
})

describe('lanes', () => {
  it('give the first failure to whoever writes next', async () => {
    const target = { write: async () => Promise.reject(new Error('broken')) }
    const lanes = new LanePool(target as never, 1, () => undefined).forShard()
    await lanes.write({ kind: 'snapshot', lane: 0, records: [], onConflict: 'replace' })
    await expect(lanes.drain()).rejects.toThrow('broken')
    await lanes.recover()
    await lanes.drain()
  })

  it('keep the failure of one shard from the others, and one that recovers does not clear that of another', async () => {
    let broken = true
    const target = { write: async () => (broken ? Promise.reject(new Error('broken')) : { failed: [] }) }
    const pool = new LanePool(target as never, 1, () => undefined)
    const [one, other] = [pool.forShard(), pool.forShard()]
    const batch = { kind: 'snapshot', lane: 0, records: [], onConflict: 'replace' } as const
    await one.write(batch)
    await pool.settle()
    broken = false
    await other.write(batch)
    await other.drain()
    await other.recover()
    // Nothing of the shard may follow the batch that was lost.
    await expect(one.write(batch)).rejects.toThrow('broken')
    await one.recover()
    await one.write(batch)
    await one.drain()
  })
})

describe('fingerprint set', () => {
  it('has what was added and nothing else', () => {
    const set = new FingerprintSet()
    for (let i = 0; i < 100_000; i++) set.add(i % 3, Buffer.from(`key:${i}`))
    for (let i = 0; i < 100_000; i++) expect(set.has(i % 3, Buffer.from(`key:${i}`))).toBe(true)
    for (let i = 0; i < 10_000; i++) expect(set.has(0, Buffer.from(`other:${i}`))).toBe(false)
  })
})

describe('state store', () => {
  it('keeps migrations and what happened to them', () => {
    const store = new StateStore(mkdtempSync(join(tmpdir(), 'fm-store-')))
    const status = { id: 'm', state: 'RUNNING', phase: 'LIVE_SYNC' } as never
    const row = {
      config: '{}',
      facts: {},
      id: 'm',
      createdAt: 1,
      source: 's',
      target: 't',
      mode: 'live',
      status,
      plan: '{}',
      owner: 'one',
    }
    store.create(row)
    expect(store.get('m').status.state).toBe('RUNNING')
    expect(() => store.create(row)).toThrow(expect.objectContaining({ code: 'FM_ID_TAKEN' }))
    expect(() => store.get('none')).toThrow(expect.objectContaining({ code: 'FM_ID_UNKNOWN' }))
    store.addEvent('m', 'phase', 'x')
    expect(store.events('m')).toHaveLength(1)
    expect(store.list()).toHaveLength(1)
    store.close()
  })
})

describe('error rate', () => {
  it('looks at a sliding window and needs enough writes to say anything', () => {
    const rate = new ErrorRate(0.01)
    expect(rate.add(50, 50, 0)).toBe(false)
    expect(rate.add(10_000, 0, 1000)).toBe(false)
    expect(rate.add(1000, 60, 5000)).toBe(false)
    // The good ten thousand have left the window.
    expect(rate.add(1000, 10, 11_500)).toBe(true)
    expect(rate.add(20_000, 0, 12_000)).toBe(false)
  })
})

describe('gate', () => {
  it('holds what passes to a rate, and stops while paused', async () => {
    const gate = new Gate(1000)
    const startedAt = Date.now()
    for (let i = 0; i < 15; i++) await gate.pass(100)
    expect(Date.now() - startedAt).toBeGreaterThan(400)
    gate.pause()
    let passed = false
    const waiting = gate.pass(1)?.then(() => {
      passed = true
    })
    await new Promise((resolve) => setTimeout(resolve, 50))
    expect(passed).toBe(false)
    gate.resume()
    await waiting
    expect(passed).toBe(true)
  })
})

describe('configuration file', () => {
  const read = (text: string, environment = {}) => parseConfig(text, 'm.yaml', environment)
  const ends = 'source: redis://a\ntarget: ferrite://b\n'
  it('takes the layout of the product page', () => {
    const config = read(
      'mode: live\nsource:\n  type: redis\n  host: source-redis.example.com\n  port: ${PORT:-6379}\n  password: ${REDIS_PASSWORD}\n  tls: true\n\ntarget:\n  type: ferrite\n  host: ferrite.example.com\n  port: 6379\n  password: ${FERRITE_PASSWORD}\n  tls: true\n\noptions:\n  parallel_workers: 8\n  batch_size: 1000\n  sync_timeout: 3600\n  cutover_max_lag: 100\n\nfilters:\n  include:\n    - "user:*"\n    - "session:*"\n  exclude:\n    - "temp:*"\n\nnotifications:\n  slack: ${SLACK_WEBHOOK}\n  email: ops@example.com\n',
      { REDIS_PASSWORD: 'p${x}', FERRITE_PASSWORD: '123', SLACK_WEBHOOK: '' },
    )
    expect(config).toEqual({
      source: 'redis://source-redis.example.com:6379',
      target: 'ferrite://ferrite.example.com:6379',
      sourceOptions: { password: 'p${x}', tls: true },
      targetOptions: { password: '123', tls: true },
      mode: 'live',
      parallel: 8,
      batchSize: 1000,
      syncTimeoutMs: 3_600_000,
      cutoverMaxLag: 100,
      filter: { include: ['user:*', 'session:*'], exclude: ['temp:*'] },
      notifications: { email: 'ops@example.com', off: ['Slack: its value is empty'] },
    })
  })
  it.each([
    ['modus: live', 'line 3, column 1: modus: there is no such field'],
    ['options:\n  batch_size: many', 'line 4, column 3: options.batch_size: must be number, not text'],
    ['options:\n  sync_timeout: 3 weeks', 'line 4, column 3: options.sync_timeout: seconds, or a duration such as 30m'],
    ['filters:\n  include:\n    - 3', 'line 5, column 7: filters.include.0: must be string, not 3'],
    ['id: ${NOBODY}', 'line 3, column 5: the environment variable NOBODY is not set'],
    ['id: [', 'line 4, column 1: '],
    ['mode: live\nmode: live', 'line 4, column 1: '],
  ])('says where %j is wrong', (text, message) => {
    expect(() => read(`${ends}${text}\n`)).toThrow(
      expect.objectContaining({ code: 'FM_CONFIG_INVALID', message: expect.stringContaining(`m.yaml, ${message}`) }),
    )
  })
  it('names what is missing', () => {
    expect(() => read('source: redis://a\n')).toThrow(
      expect.objectContaining({ message: expect.stringContaining('target: is missing') }),
    )
    expect(() => read('')).toThrow(expect.objectContaining({ code: 'FM_CONFIG_INVALID' }))
  })
})

describe('what is stored of a configuration', () => {
  it('holds no password, and knows that there was one', () => {
    const config = resolveConfig({
      source: 'redis://user:se%40cret@host:1/2?password=hidden&tls-ca=/ca.pem',
      target: 'ferrite://host',
      sourceOptions: { password: 'hidden', 'password-env': 'NAME' },
      notifications: { slack: 'https://hooks/hidden' },
    })
    const stored = storableConfig(config)
    expect(stored).not.toMatch(/hidden|se%40cret/)
    expect(stored).toContain('redis://user@host:1/2?password=&tls-ca=/ca.pem')
    expect(stored).toContain('NAME')
    expect(hasSecret(config.source, {})).toBe(true)
    expect(hasSecret(config.target, config.targetOptions)).toBe(false)
  })
})

describe('pass schedule', () => {
  it('keeps the beat of an interval, leaves out what it missed, and knows cron', () => {
    expect(new PassSchedule(60_000, undefined).next(1000, 30_000)).toBe(61_000)
    expect(new PassSchedule(60_000, undefined).next(1000, 190_000)).toBe(241_000)
    const at = Date.UTC(2026, 0, 1, 10, 20)
    expect(new Date(new PassSchedule(undefined, '0 * * * *').next(at, at)).getMinutes()).toBe(0)
    expect(() => new PassSchedule(undefined, 'every day')).toThrow(
      expect.objectContaining({ code: 'FM_CONFIG_INVALID' }),
    )
  })
})

describe('registry', () => {
  const plugin = (name: string, scheme: string) => ({
    name,
    root: '/x',
    packageJson: {
      ferriteMigrate: { contract: 1, adapters: [{ kind: 'source', name, schemes: [scheme], module: './i.js' }] },
    },
  })
  it('refuses two claims to one scheme, naming both', () => {
    expect(() => new Registry([plugin('a', 's'), plugin('b', 's')])).toThrow(
      expect.objectContaining({ code: 'FM_PLUGIN_SCHEME', message: expect.stringMatching(/a and b/) }),
    )
  })
  it('ignores packages without the block', () =>
    expect(new Registry([{ name: 'x', root: '/', packageJson: {} }]).adapters('source')).toEqual([]))
})

describe('a stop of the stream', () => {
  const options: StreamStopNeeds = { transform: { names: async () => [] } }
  const lanes = { drain: async () => undefined }
  const reader = {} as KeyReader
  const BATCH = 10
  /** Positions are numbers. The source is read within a batch; its answer takes a while, and batches end there once it came. */
  function stream(): { readonly shard: StoppableShard; passed: number; mark: number } {
    const state = {
      passed: 0,
      mark: 0,
      shard: {
        covers: (position: string, mark: string) => Number(position) >= Number(mark),
        readAt: async () => {
          const at = state.passed + BATCH / 2
          await new Promise((resolve) => setTimeout(resolve, 20))
          state.mark = at
          return { records: [], position: String(at) }
        },
      },
    }
    return state
  }

  it('is never run past, however long the source takes to answer', async () => {
    const state = stream()
    const stop = new StreamStop(options, lanes, state.shard)
    let running = true
    const writer = (async () => {
      for (; running; await new Promise((resolve) => setImmediate(resolve))) {
        const end = state.passed + BATCH
        state.passed = state.mark > state.passed && state.mark < end ? state.mark : end
        await stop.pass(String(state.passed))
      }
    })()
    for (let round = 0; round < 5; round++) {
      const passed = state.passed
      expect(await stop.readBoth([], reader)).toEqual({ source: [], target: [] })
      expect(state.passed).toBeGreaterThan(passed)
    }
    running = false
    await writer
  })

  it('that is never reached because the stream ends is given up', async () => {
    const { shard } = stream()
    const stop = new StreamStop(options, lanes, shard)
    const both = stop.readBoth([], reader)
    await stop.pass('1')
    stop.end()
    expect(await both).toBeNull()
    expect(await stop.readBoth([], reader)).toBeNull()
    const idle = new StreamStop(options, lanes, shard)
    const never = idle.readBoth([], reader)
    idle.end()
    expect(await never).toBeNull()
  })
})
