import { expect, it } from 'vitest'
import { LagAlarm } from '../../dist/migration/lag-alarm.js'

it('is raised once, and again only after the lag was small', () => {
  const alarm = new LagAlarm(100)
  const lags = [100, 101, 500, 60, 200, 49, 101, 20]
  expect(lags.map((keys) => alarm.passed(keys))).toEqual([false, true, false, false, false, false, true, false])
})

it('is never raised without a limit', () => {
  expect(new LagAlarm(0).passed(1e9)).toBe(false)
})
