import { describe, expect, it } from 'vitest'
import { parseConfig } from '../../dist/index.js'

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
    ['filters:\n  include:\n    - 3', 'line 5, column 7: filters.include.0: must be string, not a number'],
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

  it('knows other places than host and port, and what TLS needs', () => {
    const config = read(
      'source:\n  path: /run/redis.sock\n  username: me\ntarget:\n  host: "::1"\n  db: 3\n  tls:\n    ca: /ca.pem\n    verify: false\n',
    )
    expect([config.source, config.sourceOptions]).toEqual(['redis+unix:///run/redis.sock', { username: 'me' }])
    expect([config.target, config.targetOptions]).toEqual([
      'redis://[::1]:6379/3',
      { tls: true, 'tls-ca': '/ca.pem', 'tls-verify': false },
    ])
  })
  it('knows sentinels, what they call the primary, and where nodes are reached', () => {
    const config = read(
      'source:\n  sentinels: [s1, "s2:26380", "[::1]:1"]\n  primary: main\n  db: 2\n  password: p\n  sentinel_password: 0123\n  node_map:\n    10.0.0.1:6379: db1:6379\n    "[::2]:6379": "[::3]:1"\ntarget:\n  type: ferrite\n  sentinels: [t1]\n  primary: other\n  tls: true\n',
    )
    expect([config.source, config.sourceOptions]).toEqual([
      'redis+sentinel://s1,s2:26380,[::1]:1/main/2',
      { password: 'p', 'sentinel-password': '0123', 'node-map': '10.0.0.1:6379=db1:6379,[::2]:6379=[::3]:1' },
    ])
    expect([config.target, config.targetOptions]).toEqual(['ferrite+sentinel://t1/other', { tls: true }])
    expect(() => read('source:\n  sentinels: [s1]\ntarget: redis://b\n')).toThrow(/sentinels need primary/)
    expect(() => read('source:\n  sentinels: [s1]\n  primary: m\n  host: h\ntarget: redis://b\n')).toThrow(
      /neither host/,
    )
  })
  it('knows nodes of a cluster', () => {
    const config = read(
      'source:\n  nodes: [n1, "n2:6380", "[::1]:1"]\n  password: p\ntarget:\n  type: valkey-cluster\n  nodes: [m1]\n  tls: true\n',
    )
    expect([config.source, config.target]).toEqual(['redis+cluster://n1,n2:6380,[::1]:1', 'valkey-cluster://m1'])
    expect(() => read('source:\n  nodes: [n1]\n  host: h\ntarget: redis://b\n')).toThrow(/nodes stand in place/)
    expect(() => read('source:\n  password: p\ntarget: redis://b\n')).toThrow(/needs host, path, nodes/)
  })
  it('reads sizes and times in people’s units', () => {
    const config = read(
      `${ends}options:\n  spool_limit: 2gb\n  sync_timeout: 30m\n  interval: 90\n  ttl: 1h\nfilters:\n  max_size: 1kb\n  min_ttl: 5s\n  slots: [5, 0-9]\n`,
    )
    expect(config).toMatchObject({
      ...{ spoolLimit: 2 * 1024 ** 3, syncTimeoutMs: 1_800_000, intervalMs: 90_000, ttl: 3_600_000 },
      filter: { maxSize: 1024, minTtlMs: 5000, slots: ['5', '0-9'] },
    })
  })
  it('keeps passwords as they are written, and asks the environment only in values', () => {
    const config = read(
      'source:\n  host: ${HOST:-fallback}\n  password: 0123\n  options:\n    client: ${CLIENT}\ntarget: redis://b\n',
      { CLIENT: 'a: b\nsource: evil' },
    )
    expect([config.source, config.sourceOptions]).toEqual([
      'redis://fallback:6379',
      { client: 'a: b\nsource: evil', password: '0123' },
    ])
  })
  it('repeats nothing that may be a secret', () => {
    expect(() => read('source:\n  host: [hidden]\ntarget: redis://b\n')).toThrow(
      expect.objectContaining({ message: expect.not.stringContaining('hidden') }),
    )
  })
  it('with a notification whose secret is not in the environment is switched off, and nothing else may be missing', () => {
    const text = (slack: string): string => `source: redis://a\ntarget: redis://b\n${slack}`
    const config = parseConfig(text('notifications:\n  slack: ${NOT_SET_1}\n  webhook: ${SET}\n'), 'm.yaml', {
      SET: 'http://h/',
    })
    expect(config.notifications).toEqual({
      webhook: 'http://h/',
      off: ['Slack: the environment variable NOT_SET_1 is not set'],
    })
    const { notifications } = parseConfig(
      text('notifications:\n  email: a@b\n  smtp:\n    password: ${NOT_SET_2}\n'),
      'm.yaml',
      {},
    )
    expect(notifications?.email).toBeUndefined()
    expect(() => parseConfig(text('id: ${NOT_SET_3}\n'), 'm.yaml', {})).toThrow(/NOT_SET_3 is not set/)
  })
})
