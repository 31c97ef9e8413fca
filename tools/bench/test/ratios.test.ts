import { describe, expect, it } from 'vitest'
import { compared, verdict } from '../dist/compare/ratios.js'

const round = (before: number, now: number) => ({ before: { s: before }, now: { s: now } })

describe('two sides in turn', () => {
  it('are compared round by round, so that a machine that drifts says nothing', () => {
    const [one] = compared([round(1, 1.5), round(10, 15), round(2, 3)])
    expect(one).toEqual({ figure: 's', before: 2, now: 3, ratio: 1.5, least: 1.5, most: 1.5 })
    expect(verdict(one)).toBe('slower')
  })

  it('differ only where every round says so', () => {
    const say = (...ratios: number[]) => verdict(compared(ratios.map((ratio) => round(1, ratio)))[0])
    expect(say(0.9, 0.91, 0.97)).toBe('faster')
    expect(say(0.9, 0.91, 1.1)).toBe('within the spread')
    expect(say(0.99, 1, 1.01)).toBe('the same')
    expect(say(1.03)).toBe('slower')
  })
})
