import { describe, expect, it } from 'vitest'
import { KeyStatistics } from '../../dist/analysis/key-statistics.js'
import { bytes } from '../doubles.js'

const NOW = 1_800_000_000_000
interface Given {
  readonly db?: number
  readonly type?: string
  readonly encoding?: string
  readonly size?: number
  readonly elements?: number
  readonly left?: number
  readonly weight?: number
}
function add(to: KeyStatistics, name: string, given: Given = {}): void {
  const { db = 0, type = 'string', encoding = 'raw', size = 10, elements = 1, left, weight = 1 } = given
  const key = bytes(name)
  to.add(db, key, 0, key.length, type, encoding, size, elements, left === undefined ? 0 : NOW + left, weight)
}

describe('statistics of keys', () => {
  it('sum up types by their bytes, encodings and databases', () => {
    const one = new KeyStatistics(0, NOW)
    add(one, 'a')
    add(one, 'b', { type: 'hash', encoding: 'listpack', size: 100, elements: 5 })
    add(one, 'c', { db: 2 })
    add(one, 'd', { type: 'hash', encoding: 'hashtable', size: 50, elements: 7, db: 2 })
    const { keys, bytes: all, types, encodings, databases, bigKeys } = one.summary()
    expect([keys, all, bigKeys]).toEqual([4, 170, []])
    expect(types).toEqual([
      { type: 'hash', keys: 2, bytes: 150, elements: 12 },
      { type: 'string', keys: 2, bytes: 20, elements: 2 },
    ])
    expect(encodings[0]).toEqual({ name: 'raw', keys: 2, bytes: 20 })
    expect(databases).toEqual([
      { db: 0, keys: 2 },
      { db: 2, keys: 2 },
    ])
  })

  it('weigh what stands for many', () => {
    const one = new KeyStatistics(0, NOW)
    add(one, 'a', { weight: 2.5 })
    add(one, 'b', { weight: 2.5, size: 20 })
    expect(one.summary()).toMatchObject({
      ...{ keys: 5, bytes: 75, databases: [{ db: 0, keys: 5 }], types: [{ keys: 5, bytes: 75, elements: 5 }] },
    })
  })

  it.each([
    [undefined, 'no expiry'],
    [-1, 'expired'],
    [0, 'expired'],
    [1, 'under 1 minute'],
    [60_000, 'under 1 minute'],
    [60_001, 'under 1 hour'],
    [86_400_000, 'under 1 day'],
    [7 * 86_400_000, 'under 7 days'],
    [30 * 86_400_000, 'under 30 days'],
    [30 * 86_400_000 + 1, '30 days and more'],
  ])('put a key with %s ms left under "%s"', (left, name) => {
    const one = new KeyStatistics(0, NOW)
    add(one, 'a', left === undefined ? {} : { left })
    expect(one.summary().ttl.filter(({ keys }) => keys > 0)).toEqual([{ name, keys: 1 }])
  })

  it('name the largest keys, in whatever order they come', () => {
    const one = new KeyStatistics(3, NOW)
    for (let i = 0; i < 1000; i++) add(one, `k${i}`, { size: (i * 7919) % 1000 })
    expect(one.summary().bigKeys.map(({ bytes: size }) => size)).toEqual([999, 998, 997])
  })

  it('print names whatever their bytes', () => {
    const one = new KeyStatistics(1, NOW)
    add(one, '\xff\0<b>')
    expect(one.summary().bigKeys[0].key).toBe('\\xff\\x00<b>')
  })

  it('read a name where it lies', () => {
    const one = new KeyStatistics(1, NOW)
    one.add(0, bytes('xxkeyyy'), 2, 5, 'string', 'raw', 1, 1, 0)
    expect(one.summary().bigKeys[0].key).toBe('key')
  })
})
