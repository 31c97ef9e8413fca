import { sampleRecords } from '@ferrite-migrate/conformance'
import type { ItemsValue, SlicedValue, Value, ValueSlice } from '@ferrite-migrate/contracts'
import { describe, expect, it } from 'vitest'
import { decodedValue, sameSliced, sameValue } from '../../dist/records/value-equality.js'
import { bytes } from '../doubles.js'

const items = (type: ItemsValue['type'], ...list: string[]): ItemsValue => ({
  form: 'items',
  type,
  items: list.map(bytes),
})
/** A raw string. */
const raw = (text: string, rdbVersion = 11): Value => ({
  form: 'rdb',
  type: 0,
  rdbVersion,
  body: Buffer.concat([Buffer.from([text.length]), bytes(text)]),
})
const sliced = (type: SlicedValue['type'], ...slices: ValueSlice[]): SlicedValue => ({
  form: 'sliced',
  type,
  slices: (async function* () {
    yield* slices
  })(),
})
const slice = (...list: string[]): ValueSlice => ({ items: list.map(bytes) })

describe('two values', () => {
  it('of every type are equal to themselves and to no other', () => {
    const values = sampleRecords().map(({ value }) => value)
    for (const [i, a] of values.entries())
      for (const [j, b] of values.entries()) expect([i, j, sameValue(a, b, {})]).toEqual([i, j, i === j])
  })

  it.each([
    [items('set', 'a', 'b'), items('set', 'b', 'a'), true],
    [items('hash', 'f', '1', 'g', '2'), items('hash', 'g', '2', 'f', '1'), true],
    [items('hash', 'f', '1', 'g', '2'), items('hash', 'f', '2', 'g', '1'), false],
    [items('list', 'a', 'b'), items('list', 'b', 'a'), false],
    [items('list', 'ab', ''), items('list', 'a', 'b'), false],
    [items('zset', 'm', '3'), items('zset', 'm', '3.0'), true],
    [items('zset', 'm', '3'), items('zset', 'm', '3.0000000000000004'), false],
    [items('set', 'a'), items('set', 'a', 'b'), false],
    [raw('text'), items('string', 'text'), true],
    [raw('text'), raw('text', 80), true],
    [raw('text'), raw('test'), false],
  ])('%j and %j are equal: %s', (a, b, same) => {
    expect([sameValue(a, b, {}), sameValue(b, a, {})]).toEqual([same, same])
  })

  it('differ in the ends of their fields, where these count', () => {
    const hash = (at: number): ItemsValue => ({ ...items('hash', 'f', 'v'), fieldExpireAt: [at] })
    expect(sameValue(hash(5), hash(6), {})).toBe(false)
    expect(sameValue(hash(5), hash(6), { fieldExpiry: false })).toBe(true)
    expect(sameValue(hash(0), items('hash', 'f', 'v'), {})).toBe(true)
  })

  it('of a module are equal by their bytes', () => {
    const module = (text: string): Value => ({ form: 'rdb', type: 7, rdbVersion: 11, body: bytes(text) })
    expect([sameValue(module('a'), module('a'), {}), sameValue(module('a'), module('b'), {})]).toEqual([true, false])
    expect(decodedValue(module('a'))).toBeNull()
    expect(decodedValue(raw('text'))).toEqual(items('string', 'text'))
  })

  it('in slices are equal however they are cut, and where the order of a type does not count', async () => {
    const same = (a: SlicedValue, b: SlicedValue): Promise<boolean> => sameSliced(a, b, {})
    expect(await same(sliced('list', slice('a', 'b'), slice('c')), sliced('list', slice('a'), slice('b', 'c')))).toBe(
      true,
    )
    expect(await same(sliced('list', slice('a', 'b')), sliced('list', slice('b', 'a')))).toBe(false)
    expect(await same(sliced('set', slice('a'), slice('b')), sliced('set', slice('b', 'a')))).toBe(true)
    expect(await same(sliced('hash', slice('f', '1', 'g', '2')), sliced('hash', slice('g', '2', 'f', '1')))).toBe(true)
    expect(await same(sliced('hash', slice('f', '1', 'g', '2')), sliced('hash', slice('f', '2', 'g', '1')))).toBe(false)
    expect(await same(sliced('zset', slice('m', '1')), sliced('zset', slice('m', '1.0')))).toBe(true)
    expect(await same(sliced('zset', slice('m', '1')), sliced('zset', slice('m', '2')))).toBe(false)
    expect(await same(sliced('list', slice('a')), sliced('list'))).toBe(false)
  })
})
