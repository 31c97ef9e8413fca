import { mkdtempSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { FingerprintSet } from '@ferrite-migrate/protocol'
import { describe, expect, it } from 'vitest'
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

const filter = (config: object = {}) =>
  new RecordFilter({ include: [], exclude: [], types: [], dbs: [], expiry: 'any', ...config })
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
