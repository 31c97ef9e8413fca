import { hashTag, keySlot } from '@ferrite-migrate/protocol'
import { describe, expect, it } from 'vitest'

const slot = (key: string): number => keySlot(Buffer.from(key, 'latin1'))

describe('the slot of a key', () => {
  it('is what the cluster specification says', () => {
    expect([slot('123456789'), slot('foo'), slot('')]).toEqual([12_739, 12_182, 0])
    expect(slot('{foo}bar')).toBe(slot('foo'))
    expect(slot('a{foo}{bar}')).toBe(slot('foo'))
    expect(slot('{}foo')).not.toBe(slot(''))
    expect(slot('{foo')).not.toBe(slot('foo'))
    expect(slot('a}{foo}')).toBe(slot('foo'))
  })

  it('is that of the key alone, wherever it stands in a block', () => {
    const block = Buffer.from('{x}foo{bar}')
    expect(keySlot(block, 3, 6)).toBe(slot('foo'))
    expect(keySlot(block, 3, 9)).toBe(slot('foo{ba'))
    expect(hashTag(block, 3, 11)).toEqual({ start: 7, end: 10 })
  })
})
