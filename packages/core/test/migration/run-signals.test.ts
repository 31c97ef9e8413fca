import { expect, it } from 'vitest'
import { RunSignals } from '../../dist/migration/run-signals.js'

it('the end of a pass is no end of the run', () => {
  const signals = new RunSignals()
  const first = signals.reading
  signals.endPass()
  expect([first.aborted, signals.stopping.aborted, signals.wantsStop]).toEqual([true, false, false])
  signals.beginPass()
  expect(signals.reading.aborted).toBe(false)
})

it('whoever wants an end gets it, also of a pass that begins later', () => {
  const signals = new RunSignals()
  signals.stop()
  expect([signals.reading.aborted, signals.stopping.aborted, signals.wantsStop]).toEqual([true, true, true])
  signals.beginPass()
  expect(signals.reading.aborted).toBe(true)
})

it('a run may have to end though nobody wanted that', () => {
  const signals = new RunSignals()
  signals.abort()
  expect([signals.reading.aborted, signals.stopping.aborted, signals.wantsStop]).toEqual([true, true, false])
})
