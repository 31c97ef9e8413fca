import { PackedRecord } from '@ferrite-migrate/contracts'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import {
  endCommand,
  HELD_FOR_MS,
  HELD_KEYS,
  LaterEnds,
  POSTPONED_MS,
  withEnd,
} from '../../../dist/engine/expiry/later-end.js'
import { bytes, record, words } from '../../doubles.js'

const NOW = 1_800_000_000_000
beforeEach(() => {
  vi.useFakeTimers({ toFake: ['Date'], now: NOW })
})
afterEach(() => {
  vi.useRealTimers()
})

describe('an end in the stream', () => {
  it.each([
    ['hold', 59_999, 0, NOW + HELD_FOR_MS],
    ['hold', 60_000, 0, NOW + 60_000],
    // More would cost too much memory.
    ['hold', 59_999, HELD_KEYS, NOW + 59_999],
    ['read', 999, 0, null],
    ['read', 1000, 0, NOW + 1000],
    ['read', -5000, 0, null],
    ['postpone', -90_000_000, 0, NOW - 90_000_000 + POSTPONED_MS],
    ['postpone', 24 * 3_600_000, 0, NOW + 24 * 3_600_000],
    ['keep', -5000, 0, NOW - 5000],
  ] as const)('under %s, %i ms from now, with %i keys held, becomes %s', (how, left, held, end) => {
    expect(new LaterEnds(how).endOf(NOW + left, held)).toBe(end)
  })

  it('is held no more once the run settles: then its key is read where that can be done', () => {
    const [readable, blind, file] = [new LaterEnds('hold'), new LaterEnds('hold'), new LaterEnds('postpone')]
    readable.stopHolding(true)
    blind.stopHolding(false)
    file.stopHolding(true)
    expect([readable.how, blind.how, file.how]).toEqual(['read', 'keep', 'postpone'])
  })

  it('is given by a command, and none by another', () => {
    expect(words(endCommand(3, bytes('k'), 5))).toBe('PEXPIREAT k 5')
    expect([words(endCommand(3, bytes('k'), 0)), endCommand(3, bytes('k'), 0).db]).toEqual(['PERSIST k', 3])
  })

  it('of a record changes nothing else of it', () => {
    expect(withEnd(record('k', 'value', 1, 2), 9)).toEqual(record('k', 'value', 9, 2))
    const data = bytes('keyvalue')
    const packed = withEnd(new PackedRecord(2, 1, data, 0, 3, 3, 8, 0, 11), 9)
    expect(packed).toBeInstanceOf(PackedRecord)
    expect([String(packed.key), packed.db, packed.expireAt, packed.value]).toEqual([
      'key',
      2,
      9,
      { form: 'rdb', type: 0, rdbVersion: 11, body: bytes('value') },
    ])
  })
})
