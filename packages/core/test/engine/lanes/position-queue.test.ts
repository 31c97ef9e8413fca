import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { covers, PositionQueue } from '../../../dist/engine/lanes/position-queue.js'

describe('a queue of positions', () => {
  it('says of a position that it is durable when everything before it is, in whatever order that comes', () => {
    fc.assert(
      fc.property(
        fc.array(fc.boolean(), { minLength: 1, maxLength: 20 }).chain((placed) =>
          fc.record({
            placed: fc.constant(placed),
            order: fc.shuffledSubarray([...placed.keys()], { minLength: placed.length }),
          }),
        ),
        ({ placed, order }) => {
          const told: number[] = []
          const queue = new PositionQueue((position) => told.push(Number(position)))
          const done = placed.map((has, i) => queue.enter(has ? String(i) : undefined))
          const ready = new Set<number>()
          for (const i of order) {
            done[i]()
            ready.add(i)
            let first = 0
            while (ready.has(first)) first++
            const reached = placed.slice(0, first).lastIndexOf(true)
            expect(told.at(-1) ?? -1).toBe(reached)
          }
          expect(told).toEqual([...told].sort((a, b) => a - b))
        },
      ),
      { seed: 11, numRuns: 300 },
    )
  })

  it('forgets what was entered before it was cleared', () => {
    const told: string[] = []
    const queue = new PositionQueue((position) => told.push(position))
    const former = queue.enter('1')
    queue.clear()
    const next = queue.enter('2')
    former()
    expect(told).toEqual([])
    next()
    expect(told).toEqual(['2'])
  })
})

describe('a position', () => {
  it('covers a mark as its shard says, and where it says nothing only itself', () => {
    const counting = { covers: (position: string, mark: string) => Number(position) >= Number(mark) }
    expect([covers(counting, '10', '9'), covers(counting, '9', '10'), covers(counting, '9', '9')]).toEqual([
      true,
      false,
      true,
    ])
    expect([covers({}, '10', '9'), covers({}, '9', '9')]).toEqual([false, true])
  })
})
