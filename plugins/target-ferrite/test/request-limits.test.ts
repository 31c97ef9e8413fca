import { describe, expect, it } from 'vitest'
import { RequestLimits } from '../dist/request-limits.js'

describe('the limits of a target', () => {
  it('are those that it names, with room for the rest of a command', () => {
    const limits = new RequestLimits(1 << 20, 8 << 20)
    expect(limits.value).toBe((1 << 20) - 1024)
    expect(limits.piece).toBeLessThanOrEqual(limits.value / 2)
    expect(limits.change).toBeLessThan(1 << 20)
  })

  it('are learned from what is refused, until nothing smaller would help', () => {
    const limits = new RequestLimits()
    const refusedAbove = 100_000
    let size = 50_000_000
    let tries = 0
    while (size > refusedAbove && tries++ < 50) {
      expect(limits.learn(size)).toBe(true)
      expect(limits.value).toBeLessThan(size)
      size = limits.value
    }
    expect(size).toBeLessThanOrEqual(refusedAbove)
    expect(tries).toBeLessThan(15)
    expect(limits.learn(20_000)).toBe(false)
  })
})
