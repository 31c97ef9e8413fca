import { describe, expect, it } from 'vitest'
import { ErrorRate } from '../../../dist/engine/lanes/error-rate.js'

describe('error rate', () => {
  it('looks at a sliding window and needs enough writes to say anything', () => {
    const rate = new ErrorRate(0.01)
    expect(rate.add(50, 50, 0)).toBe(false)
    expect(rate.add(10_000, 0, 1000)).toBe(false)
    expect(rate.add(1000, 60, 5000)).toBe(false)
    // The good ten thousand have left the window.
    expect(rate.add(1000, 10, 11_500)).toBe(true)
    expect(rate.add(20_000, 0, 12_000)).toBe(false)
  })

  it('is over its limit only above it', () => {
    expect(new ErrorRate(0.5).add(100, 50, 0)).toBe(false)
    expect(new ErrorRate(0.5).add(100, 51, 0)).toBe(true)
    expect(new ErrorRate(0).add(100, 1, 0)).toBe(true)
  })
})
