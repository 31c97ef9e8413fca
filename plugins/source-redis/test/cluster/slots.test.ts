import { changeOf, PackedChange, stringRecord } from '@ferrite-migrate/contracts'
import { keySlot, SLOTS } from '@ferrite-migrate/protocol'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { clusterPosition, parseClusterPosition, slotsText } from '../../dist/cluster/cluster-position.js'
import { NO_SLOT, slotOfChange, slotOfRecord } from '../../dist/cluster/command-slot.js'
import { DoubtfulKeys } from '../../dist/cluster/doubtful-keys.js'

const STREAM = 'abcdef:123:0'

describe('a position in a cluster', () => {
  it('carries any set of slots', () => {
    const sets = fc.uniqueArray(fc.nat(SLOTS - 1), { maxLength: 2000 }).map((slots) => slots.sort((x, y) => x - y))
    fc.assert(
      fc.property(sets, (slots) => {
        const position = clusterPosition(STREAM, slotsText(slots))
        expect(parseClusterPosition(position)).toEqual({ stream: STREAM, slots })
      }),
      { seed: 1 },
    )
    const all = Array.from({ length: SLOTS }, (_, slot) => slot)
    expect(slotsText(all)).toBe('0-16383')
    // However they lie, they take no more than a bit each.
    expect(slotsText(all.filter((slot) => slot % 2 === 0)).length).toBeLessThan(2800)
  })

  it.each([
    '',
    'abc',
    `${STREAM}@x`,
    `${STREAM}@1-`,
    `${STREAM}@5-4`,
    `${STREAM}@16384`,
    `${STREAM}@bAAAA`,
    `${STREAM}@-1`,
  ])('is refused where it is none: %s', (position) => {
    expect(() => parseClusterPosition(position)).toThrow(expect.objectContaining({ code: 'FM_POSITION_INVALID' }))
  })
})

describe('the slot of a command', () => {
  const packed = (...argv: string[]): PackedChange => {
    const { resp, name } = changeOf(0, argv)
    const data = Buffer.concat([Buffer.from('before'), resp, Buffer.from('behind')])
    return new PackedChange(0, name, data, 6, 6 + resp.length, 0)
  }
  const slot = keySlot(Buffer.from('{tag}a'))

  it.each([
    ['SET', '{tag}a', 'v'],
    ['DEL', '{tag}a', '{tag}b'],
    ['RENAME', '{tag}a', '{tag}b'],
    ['RESTORE-ASKING', '{tag}a', '0', 'x'],
    ['BITOP', 'AND', '{tag}a', '{tag}b'],
    ['EVAL', 'return 1', '1', '{tag}a'],
    ['XGROUP', 'CREATE', '{tag}a', 'g', '$'],
  ])('is that of its first key: %s', (...argv) => {
    expect(slotOfChange(packed(...argv))).toBe(slot)
    expect(slotOfChange(changeOf(0, argv))).toBe(slot)
  })

  it.each([['FLUSHALL'], ['PUBLISH', 'c', 'm'], ['EVAL', 'return 1', '0'], ['SCRIPT', 'LOAD', 'x'], ['SET'], ['DEL']])(
    'is none where it names no key: %s',
    (...argv) => {
      expect(slotOfChange(packed(...argv))).toBe(NO_SLOT)
      expect(slotOfChange(changeOf(0, argv))).toBe(NO_SLOT)
    },
  )

  it('is the same in either form, whatever the key', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 40 }), (bytes) => {
        const argv = [Buffer.from('INCR'), Buffer.from(bytes)]
        const { resp } = changeOf(0, argv)
        expect(slotOfChange(new PackedChange(0, 'INCR', resp, 0, resp.length, 0))).toBe(keySlot(Buffer.from(bytes)))
      }),
      { seed: 2 },
    )
    expect(slotOfRecord(stringRecord('{tag}x', 'v'))).toBe(slot)
  })
})

describe('keys in doubt', () => {
  it('are kept once, and taken out by their slot', () => {
    const doubtful = new DoubtfulKeys()
    doubtful.add(1, [{ db: 0, key: Buffer.from('a') }])
    doubtful.add(1, [{ db: 0, key: Buffer.from('a') }])
    doubtful.add(2, [])
    expect([doubtful.size, doubtful.numbers, doubtful.has(2)]).toEqual([1, [1, 2], true])
    expect(doubtful.take(1)).toEqual({ keys: [{ db: 0, key: Buffer.from('a') }], whole: false })
    expect([doubtful.has(1), doubtful.take(1)]).toEqual([false, { keys: [], whole: false }])
  })

  it('are no more than a bound: then the whole slot is in doubt', () => {
    const doubtful = new DoubtfulKeys()
    for (let i = 0; i < 100_001; i++) doubtful.add(1, [{ db: 0, key: Buffer.from(String(i)) }])
    expect(doubtful.take(1)).toMatchObject({ whole: true })
  })
})
