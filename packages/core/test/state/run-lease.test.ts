import { afterEach, describe, expect, it, vi } from 'vitest'
import { RunLease } from '../../dist/state/run-lease.js'

afterEach(() => {
  vi.useRealTimers()
})

describe('a lease', () => {
  it('is looked at again after a while, and lost for good when another process is the owner', () => {
    vi.useFakeTimers()
    let owner: string | undefined = 'me'
    let looks = 0
    const lease = new RunLease('m', 'me', () => {
      looks++
      return owner
    })
    for (let i = 0; i < 1000; i++) lease.check()
    expect(looks).toBe(1)
    owner = 'another'
    lease.check()
    vi.advanceTimersByTime(2500)
    expect(() => lease.check()).toThrow(expect.objectContaining({ code: 'FM_RUN_TAKEN' }))
    owner = 'me'
    expect(() => lease.check()).toThrow(expect.objectContaining({ code: 'FM_RUN_TAKEN' }))
    expect(lease.isLost).toBe(true)
  })

  it('is looked at when either clock says that time went by', () => {
    vi.useFakeTimers()
    let looks = 0
    const lease = new RunLease('m', 'me', () => {
      looks++
      return 'me'
    })
    lease.check()
    // A machine that was paused: only the clock on the wall went on. It may also be set back.
    vi.setSystemTime(Date.now() + 60_000)
    lease.check()
    vi.setSystemTime(Date.now() - 3_600_000)
    lease.check()
    expect(looks).toBe(3)
  })

  it('is not lost because the state cannot be read for a moment', () => {
    const lease = new RunLease('m', 'me', () => {
      throw new Error('database is locked')
    })
    lease.check()
    expect(lease.isLost).toBe(false)
  })
})
