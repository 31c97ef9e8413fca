import { SLOTS } from '@ferrite-migrate/protocol'
import { describe, expect, it } from 'vitest'
import { decodeMark, encodeMark, type FoundMark, lowWater } from '../../src/cluster/slot-mark.js'

const range = (first: number, end: number): number[] => Array.from({ length: end - first }, (_, i) => first + i)
const LOW = range(0, SLOTS / 2)
const HIGH = range(SLOTS / 2, SLOTS)
const key = { db: 0, key: Buffer.from([0, 255, 13]) }

function found(
  at: number,
  slots: number[],
  nodes: string[],
  owner: string | null,
  dirty: (typeof key)[] = [],
  copy = 1,
): FoundMark {
  return { mark: { position: `p${at}`, at, slots, nodes, dirty, copy }, owner }
}

describe('a mark', () => {
  it('reads back as it was written', () => {
    const mark = { position: 'id:5:0', at: 5, slots: [0, 1, 2, 9, 16_383], nodes: ['a', 'b'], copy: 7, dirty: [key] }
    expect(decodeMark(encodeMark(mark))).toEqual(mark)
    expect(() => decodeMark('{"position":"x"}')).toThrow('cannot be read')
  })
})

describe('the low water of all marks', () => {
  it('is the lowest that counts, with the keys of all', () => {
    const low = lowWater([found(70, LOW, ['a'], 'a'), found(50, HIGH, ['b'], 'b', [key])])
    expect(low?.mark.position).toBe('p50')
    expect(low?.dirty).toEqual([key])
    expect([low?.covered[0], low?.covered[SLOTS - 1]]).toEqual([70, 50])
  })

  it('takes the newest of several about one slot', () => {
    const low = lowWater([
      found(40, range(0, SLOTS), ['a'], 'a'),
      found(70, LOW, ['a'], 'a'),
      found(60, HIGH, ['b'], 'b'),
    ])
    expect(low?.mark.at).toBe(60)
  })

  it('is found by a replica that took over', () => {
    expect(lowWater([found(40, range(0, SLOTS), ['a', 'replica'], 'replica')])?.mark.at).toBe(40)
  })

  it('is not known where a replica comes back with a mark of an earlier copy', () => {
    expect(lowWater([found(0, LOW, ['a'], 'a', [], 2), found(50, HIGH, ['b'], 'b', [], 1)])).toBeNull()
    expect(lowWater([found(0, LOW, ['a'], 'a', [], 2), found(3, HIGH, ['b'], 'b', [], 2)])?.mark.position).toBe('p0')
  })

  it('is not known where a mark went to another node with its slot, or slots are in none', () => {
    expect(lowWater([found(70, LOW, ['a'], 'b'), found(50, HIGH, ['b'], 'b')])).toBeNull()
    expect(lowWater([found(70, LOW, ['a'], 'a')])).toBeNull()
    expect(lowWater([])).toBeNull()
  })
})
