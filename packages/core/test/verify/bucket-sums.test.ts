import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { RangeHash } from '../../dist/records/range-hash.js'
import { BucketSums } from '../../dist/verify/bucket-sums.js'

const held = fc.uniqueArray(
  fc.record({ name: fc.integer({ min: 0, max: 3000 }), value: fc.integer({ min: 0, max: 3 }) }),
  {
    selector: ({ name }) => name,
    maxLength: 300,
  },
)

describe('bucket sums', () => {
  it('differ exactly in the buckets of keys that differ, in whatever order they come', () => {
    const hash = new RangeHash()
    const hashOf = (text: string): [number, number] => {
      const bytes = Buffer.from(text)
      hash.of(bytes, 0, bytes.length, 0, 0)
      return [hash.a, hash.b]
    }
    fc.assert(
      fc.property(held, held, (first, second) => {
        const sums = new BucketSums(100)
        for (const { name, value } of first)
          sums.add(Int32Array.of(...hashOf(`k${name}`), ...hashOf(`v${value}`)), 1, 1)
        const together = Int32Array.from(
          second.flatMap(({ name, value }) => [...hashOf(`k${name}`), ...hashOf(`v${value}`)]),
        )
        sums.add(together, second.length, -1)
        const other = new Map(second.map(({ name, value }) => [name, value]))
        const mine = new Map(first.map(({ name, value }) => [name, value]))
        const buckets = new Set<number>()
        for (let name = 0; name <= 3000; name++) {
          if (mine.get(name) === other.get(name)) continue
          expect(sums.differs(...hashOf(`k${name}`))).toBe(true)
          const [a, b] = hashOf(`k${name}`)
          buckets.add((a ^ b) & (sums.buckets - 1))
        }
        expect(sums.different()).toBe(buckets.size)
      }),
      { seed: 3, numRuns: 300 },
    )
  })

  it('of values that differ in one bit, or in where their bytes are, differ', () => {
    const hash = new RangeHash()
    const seen = new Set<string>()
    let made = 0
    for (let length = 0; length <= 40; length++) {
      const data = Buffer.alloc(length)
      for (let bit = -1; bit < length * 8; bit++) {
        const changed = Buffer.from(data)
        if (bit >= 0) changed[bit >> 3] ^= 1 << (bit & 7)
        hash.of(changed, 0, length, 0, 0)
        seen.add(`${hash.a}:${hash.b}`)
        made++
      }
    }
    expect(seen.size).toBe(made)
    const words = Buffer.alloc(64)
    for (let i = 0; i < 16; i++) words.writeInt32LE(i * 0x01010101, i * 4)
    for (let i = 0; i < 16; i++)
      for (let j = i + 1; j < 16; j++) {
        const swapped = Buffer.from(words)
        swapped.writeInt32LE(words.readInt32LE(j * 4), i * 4)
        swapped.writeInt32LE(words.readInt32LE(i * 4), j * 4)
        hash.of(swapped, 0, 64, 0, 0)
        seen.add(`${hash.a}:${hash.b}`)
      }
    expect(seen.size).toBe(made + 120)
  })

  it('has room for many keys, and for few', () => {
    expect([new BucketSums(0).buckets, new BucketSums(1_000_000).buckets, new BucketSums(1e9).buckets]).toEqual([
      1 << 14,
      1 << 18,
      1 << 24,
    ])
  })
})
