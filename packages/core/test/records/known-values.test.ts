import { PackedValues } from '@ferrite-migrate/protocol'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { KnownValues } from '../../dist/records/known-values.js'
import { record } from '../doubles.js'

interface Held {
  readonly name: number
  readonly value: number
  readonly expireAt: number
}

const held = fc.uniqueArray(
  fc.record({
    name: fc.integer({ min: 0, max: 500 }),
    value: fc.integer({ min: 0, max: 2 }),
    expireAt: fc.constantFrom(0, 1, 2 ** 32 + 1, 2 ** 41),
  }),
  { selector: ({ name }) => name, maxLength: 200 },
)

function packed(all: readonly Held[]) {
  const values = new PackedValues()
  for (const { name, value, expireAt } of all)
    values.add(0, Buffer.from(`k${name}`), Buffer.from(`v${value}`), expireAt)
  return values.take()
}

describe('known values', () => {
  it('are those that were read, with their value and their end, and who was not met is known', () => {
    fc.assert(
      fc.property(held, held, (there, here) => {
        const known = new KnownValues()
        for (const one of packed(there)) known.add(one)
        const before = new Map(there.map((one) => [one.name, one]))
        const records = packed(here)
        for (const [i, { name, value, expireAt }] of here.entries()) {
          const former = before.get(name)
          const same = former?.value === value && former.expireAt === expireAt
          const has = former === undefined ? 'no' : same ? 'yes' : 'perhaps'
          expect(known.has(records[i])).toBe(has)
          known.meet(records[i])
          known.meet(records[i])
          expect(known.has(records[i])).toBe(has)
          before.delete(name)
        }
        expect([known.size, known.unseen]).toEqual([there.length, before.size])
        for (const { name } of there)
          expect(known.isUnseen({ db: 0, key: Buffer.from(`k${name}`) })).toBe(before.has(name))
        expect(known.isUnseen({ db: 1, key: Buffer.from('k1') })).toBe(false)
      }),
      { seed: 11, numRuns: 200 },
    )
  })

  it('grow, and forget nothing of it', () => {
    const all = Array.from({ length: 150_000 }, (_, name) => ({ name, value: name % 7, expireAt: 0 }))
    const known = new KnownValues()
    const records = packed(all)
    for (const [i, one] of records.entries()) {
      known.add(one)
      if (i % 2 === 0) known.meet(one)
    }
    expect([known.size, known.unseen]).toEqual([150_000, 75_000])
    expect(records.filter((one) => known.has(one) === 'yes')).toHaveLength(150_000)
    expect(records.filter((one) => known.isUnseen(one))).toHaveLength(75_000)
  })

  it('know the name alone of what is not there as bytes', () => {
    const known = new KnownValues()
    known.add(record('a'))
    expect([known.has(record('a')), known.isUnseen(record('a'))]).toEqual(['perhaps', true])
    known.meet(record('a'))
    expect([known.unseen, known.isUnseen(record('a'))]).toEqual([0, false])
  })
})
