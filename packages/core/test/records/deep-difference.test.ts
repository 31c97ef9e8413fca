import { sampleRecords } from '@ferrite-migrate/conformance'
import type { DecodedValue, ItemsValue, StreamValue } from '@ferrite-migrate/contracts'
import { describe, expect, it } from 'vitest'
import { deepDifference } from '../../dist/records/deep-difference.js'
import { bytes } from '../doubles.js'

const items = (type: ItemsValue['type'], ...list: string[]): ItemsValue => ({
  form: 'items',
  type,
  items: list.map(bytes),
})
const stream = (given: Partial<StreamValue> = {}): StreamValue => ({
  ...{ form: 'stream', type: 'stream', lastId: '2-0', firstId: '1-0', maxDeletedId: '0-0', entriesAdded: '2' },
  entries: [
    { id: '1-0', fields: [bytes('a'), bytes('1')] },
    { id: '2-0', fields: [bytes('b'), bytes('2')] },
  ],
  groups: [
    {
      ...{ name: bytes('g'), lastId: '1-0', entriesRead: '1' },
      pending: [{ id: '1-0', deliveredAt: 0, deliveryCount: 1 }],
      consumers: [{ name: bytes('c'), seenAt: 0, activeAt: 0, pending: ['1-0'] }],
    },
  ],
  ...given,
})
const parts = (a: DecodedValue, b: DecodedValue): unknown[] =>
  deepDifference(a, b).parts.map(({ part, name, source, target }) => [
    part,
    name?.text ?? null,
    source?.text ?? null,
    target?.text ?? null,
  ])

describe('the parts in which values differ', () => {
  it('are none of equal ones', () => {
    for (const { value } of sampleRecords())
      if (value.form === 'items' || value.form === 'stream') expect(deepDifference(value, value).count).toBe(0)
  })

  it('are those of strings, lists and sets', () => {
    expect(parts(items('string', 'a'), items('string', 'b'))).toEqual([['value', null, 'a', 'b']])
    expect(parts(items('list', 'a', 'b'), items('list', 'a', 'c', 'd'))).toEqual([
      ['length', null, '2', '3'],
      ['[1]', null, 'b', 'c'],
      ['[2]', null, null, 'd'],
    ])
    expect(parts(items('set', 'a', 'b'), items('set', 'b', 'c'))).toEqual([
      ['member', 'a', 'a', null],
      ['member', 'c', null, 'c'],
    ])
  })

  it('are those of sorted sets by what a score is, not how it is written', () => {
    expect(parts(items('zset', 'a', '1', 'b', '2', 'c', '3'), items('zset', 'a', '1.0', 'b', '3', 'd', 'inf'))).toEqual(
      [
        ['score', 'b', '2', '3'],
        ['score', 'c', '3', null],
        ['score', 'd', null, 'inf'],
      ],
    )
  })

  it('are those of hashes with the ends of their fields', () => {
    const a: ItemsValue = { ...items('hash', 'f', '1', 'g', '2'), fieldExpireAt: [0, 1_900_000_000_000] }
    expect(parts(a, items('hash', 'f', '2', 'g', '2', 'h', '3'))).toEqual([
      ['field', 'f', '1', '2'],
      ['field', 'h', null, '3'],
      ['field-expiry', 'g', '2030-03-17T17:46:40.000Z', null],
    ])
  })

  it('are those of streams: entries, groups and what waits in them', () => {
    const { groups, entries } = stream()
    const other = stream({
      lastId: '3-0',
      entries: [{ ...entries[0], fields: [bytes('a'), bytes('9')] }],
      groups: [{ ...groups[0], lastId: '2-0', pending: [{ id: '1-0', deliveredAt: 0, deliveryCount: 5 }] }],
    })
    expect(parts(stream(), other)).toEqual([
      ['entry', '1-0', 'a 1', 'a 9'],
      ['entry', '2-0', 'b 2', null],
      ['last-id', null, '2-0', '3-0'],
      ['group', 'g', '1-0', '2-0'],
      ['pending', 'g 1-0', 'c, delivered 1 times', 'c, delivered 5 times'],
    ])
  })

  it('are shown a hundred at most, and all counted', () => {
    const list = (word: string): ItemsValue => items('list', ...Array.from({ length: 250 }, (_, i) => `${word}${i}`))
    const { parts: shown, count } = deepDifference(list('a'), list('b'))
    expect([shown.length, count]).toEqual([100, 250])
  })
})
