import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { PairTable } from '../dist/pair-table.js'

/** Few names that fall together, so that gaps are closed over and over. */
const told = fc.record({
  name: fc.integer({ min: 0, max: 60 }),
  value: fc.integer({ min: 0, max: 2 }),
  side: fc.constantFrom<0 | 1>(0, 1),
})

describe('pair table', () => {
  it('answers as a map does', () => {
    fc.assert(
      fc.property(fc.array(told, { maxLength: 400 }), fc.integer({ min: 1, max: 7 }), (list, spread) => {
        const table = new PairTable()
        const model = new Map<number, { value: number; side: 0 | 1 }>()
        for (const { name, value, side } of list) {
          // The low bits decide the place: a small spread makes neighbours.
          const [a, b] = [name % spread, (name << 1) | 1]
          const known = model.get(name)
          const answer = table.meet(a, b, value, value << 8, side)
          if (known === undefined) {
            expect(answer).toBe('alone')
            model.set(name, { value, side })
          } else if (known.side === side) expect(answer).toBe('different')
          else {
            expect(answer).toBe(known.value === value ? 'equal' : 'different')
            model.delete(name)
          }
        }
        for (let name = 0; name <= 60; name++)
          for (const side of [0, 1] as const)
            expect(table.isAlone(name % spread, (name << 1) | 1, side)).toBe(model.get(name)?.side === side)
        expect(table.alone[0] + table.alone[1]).toBe(model.size)
      }),
      { seed: 4, numRuns: 500 },
    )
  })

  it('grows, and forgets what met', () => {
    const table = new PairTable()
    const hash = (i: number): [number, number] => [Math.imul(i, 0x9e3779b1), Math.imul(i, 0x85ebca6b)]
    for (let i = 0; i < 200_000; i++) table.meet(...hash(i), i, i, 0)
    for (let i = 0; i < 200_000; i++) expect(table.meet(...hash(i), i, i, 1)).toBe('equal')
    expect([table.alone[0], table.alone[1], table.met]).toEqual([0, 0, 200_000])
  })
})
