import { describe, expect, it } from 'vitest'
import { DirtySet } from '../../dist/records/dirty-set.js'
import { bytes, names } from '../doubles.js'

describe('a set of keys', () => {
  it('tells databases and any bytes apart, and holds each key once', () => {
    const set = new DirtySet()
    for (const key of ['\xff', '\xc3\xbf', '', '\0', '\xff']) set.add(0, bytes(key))
    expect([set.size, set.has(0, bytes('\xff')), set.has(1, bytes('\xff')), set.has(0, bytes('ÿ'))]).toEqual([
      4,
      true,
      false,
      true,
    ])
    set.delete(0, bytes('\0'))
    expect(names(set)).toEqual(['\xff', '\xc3\xbf', ''])
    set.clear()
    expect([set.size, set.has(0, bytes(''))]).toEqual([0, false])
  })

  it('keeps a key whose block is used again', () => {
    const set = new DirtySet()
    const block = bytes('key')
    set.add(0, block)
    block.fill(0)
    expect([set.has(0, bytes('key')), names(set)]).toEqual([true, ['key']])
  })

  it('gives some keys of one database away, until there is none', () => {
    const set = new DirtySet()
    for (let i = 0; i < 5; i++) set.add(i % 2, bytes(`k${i}`))
    expect([names(set.take(2)), names(set.take(2)), names(set.take(2)), names(set.take(2))]).toEqual([
      ['k0', 'k2'],
      ['k1', 'k3'],
      ['k4'],
      [],
    ])
  })
})
