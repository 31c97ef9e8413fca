import { describe, expect, it } from 'vitest'
import { PassSchedule } from '../../dist/migration/pass-schedule.js'

describe('pass schedule', () => {
  it('keeps the beat of an interval, leaves out what it missed, and knows cron', () => {
    expect(new PassSchedule(60_000, undefined).next(1000, 30_000)).toBe(61_000)
    expect(new PassSchedule(60_000, undefined).next(1000, 190_000)).toBe(241_000)
    const at = Date.UTC(2026, 0, 1, 10, 20)
    expect(new Date(new PassSchedule(undefined, '0 * * * *').next(at, at)).getMinutes()).toBe(0)
    expect(() => new PassSchedule(undefined, 'every day')).toThrow(
      expect.objectContaining({ code: 'FM_CONFIG_INVALID' }),
    )
  })
})
