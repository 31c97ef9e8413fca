import type { SnapshotRecord } from '@ferrite-migrate/contracts'
import { describe, expect, it } from 'vitest'
import { RecordFilter } from '../../dist/index.js'
import { bytes, record } from '../doubles.js'

const filter = (config: ConstructorParameters<typeof RecordFilter>[0] = {}) => new RecordFilter(config)
const taken = (one: RecordFilter, ...keys: string[]): string[] => keys.filter((key) => one.takesKey(0, bytes(key)))

describe('filter', () => {
  it('includes, excludes and chooses databases', () => {
    const one = filter({ include: ['user:*', 'data:*'], exclude: ['*:tmp'], dbs: [0, 2] })
    expect(one.takesKey(0, bytes('user:1'))).toBe(true)
    expect(one.takesKey(1, bytes('user:1'))).toBe(false)
    expect(one.takesKey(2, bytes('data:tmp'))).toBe(false)
    expect(one.takesKey(0, bytes('other'))).toBe(false)
    expect([one.takesDb(0), one.takesDb(1), one.open]).toEqual([true, false, false])
  })

  it('knows when it needs the value', () => {
    for (const config of [
      { types: ['hash' as const] },
      { expiry: 'expiring' as const },
      { minSize: 1 },
      { maxTtlMs: 1 },
    ])
      expect(filter(config)).toMatchObject({ needsValue: true, open: false })
    expect(filter({ include: ['a'] })).toMatchObject({ needsValue: false, open: false })
    expect(filter()).toMatchObject({ needsValue: false, open: true })
    expect([filter({ minSize: 1 }).needsSize, filter({ types: ['hash'] }).needsSize]).toEqual([true, false])
  })

  it('matches regular expressions, names that are no text byte by byte', () => {
    expect(
      taken(filter({ includeRegex: ['^user:\\d+$'], excludeRegex: ['7'] }), 'user:1', 'user:17', 'user:x'),
    ).toEqual(['user:1'])
    const umlaut = filter({ includeRegex: ['^ü.$'] })
    expect(umlaut.takesKey(0, Buffer.from('üä'))).toBe(true)
    expect(umlaut.takesKey(0, bytes('üä'))).toBe(false)
    expect(taken(filter({ includeRegex: ['^a.$'] }), 'a\xff', 'a\xff\xff')).toEqual(['a\xff'])
    expect(() => filter({ excludeRegex: ['(a)\\1'] })).toThrow(expect.objectContaining({ code: 'FM_CONFIG_INVALID' }))
  })

  it('chooses slots of a cluster as the cluster does', () => {
    // The slots of these names are in the specification of Redis Cluster.
    expect(taken(filter({ slots: ['12739'] }), '123456789', 'other', 'a{123456789}b')).toEqual([
      '123456789',
      'a{123456789}b',
    ])
    expect(taken(filter({ slots: ['0-12738', '12740-16383'] }), '123456789', 'other')).toEqual(['other'])
    for (const slots of [['5-1'], ['0-16384']])
      expect(() => filter({ slots })).toThrow(expect.objectContaining({ code: 'FM_CONFIG_INVALID' }))
  })

  it('looks at a part of a block', () => {
    const one = filter({ include: ['user:*'] })
    expect([one.takesKey(0, bytes('xxuser:1yy'), 2, 8), one.takesKey(0, bytes('xxuser:1yy'))]).toEqual([true, false])
  })
})

describe('a filter by value', () => {
  const hash = (...items: string[]): SnapshotRecord => ({
    ...record('h'),
    value: { form: 'items', type: 'hash', items: items.map(bytes) },
  })

  it('takes types, in whatever form they come', () => {
    const one = filter({ types: ['string'] })
    const raw = (type: number): SnapshotRecord => ({
      ...record('k'),
      value: { form: 'rdb', type, rdbVersion: 11, body: bytes('\x01a') },
    })
    expect([record('k'), hash('f', 'v'), raw(0), raw(4), raw(250)].map((each) => one.takes(each))).toEqual([
      true,
      false,
      true,
      false,
      false,
    ])
  })

  it('takes sizes by all strings of a value', () => {
    const one = filter({ minSize: 4, maxSize: 6 })
    expect(['abc', 'abcd', 'abcdef', 'abcdefg'].map((text) => one.takes(record('k', text)))).toEqual([
      false,
      true,
      true,
      false,
    ])
    expect(one.takes(hash('ab', 'cd', 'e', 'f'))).toBe(true)
    const slices = (async function* () {})()
    expect(one.takes({ ...record('k'), value: { form: 'sliced', type: 'list', slices } })).toBe(false)
  })

  it('takes what lives so long, and a key without an end lives for ever', () => {
    const left = (ms: number): SnapshotRecord => record('k', 'v', Date.now() + ms)
    const short = filter({ maxTtlMs: 60_000 })
    const long = filter({ minTtlMs: 60_000 })
    expect([short.takes(left(1000)), short.takes(left(90_000)), short.takes(record('k'))]).toEqual([true, false, false])
    expect([long.takes(left(1000)), long.takes(left(90_000)), long.takes(record('k'))]).toEqual([false, true, true])
    expect(filter({ expiry: 'persistent' }).takes(left(1000))).toBe(false)
    expect(filter({ expiry: 'expiring' }).takes(left(1000))).toBe(true)
  })

  it('looks at the name as well', () => {
    expect(filter({ types: ['string'], exclude: ['k'] }).takes(record('k'))).toBe(false)
  })
})
