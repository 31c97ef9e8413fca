import { MemorySource, MemoryStore, MemoryTarget } from '@ferrite-migrate/conformance'
import { type ErrorCode, MigrateError } from '@ferrite-migrate/contracts'
import { describe, expect, it } from 'vitest'
import { NO_TRANSFORM, RecordFilter } from '../../dist/index.js'
import { RunFailure } from '../../dist/migration/run-failure.js'
import { RunSignals } from '../../dist/migration/run-signals.js'
import { TargetKeys } from '../../dist/transform/target-keys.js'
import { configOf, statusOf } from './memory-status.js'

function failure({ wantsStop = false, autoRollback = false } = {}) {
  const { status, said } = statusOf()
  const signals = new RunSignals()
  if (wantsStop) signals.stop()
  const ends = {
    config: configOf({ autoRollback }),
    source: new MemorySource(new MemoryStore()),
    target: new MemoryTarget(),
    targetKeys: new TargetKeys(new RecordFilter({}), NO_TRANSFORM),
    transform: NO_TRANSFORM,
  }
  return { one: new RunFailure({ id: 'm', ends, status, signals }), status, said }
}
const error = (code: ErrorCode, retryable = false): MigrateError =>
  new MigrateError(code, 'gone', 'Look.', { retryable })

describe('a run that threw', () => {
  it('has failed with what it threw', async () => {
    const { one, status } = failure()
    const refused = error('FM_TARGET_REFUSED')
    expect(await one.outcome(refused, true)).toEqual({ state: 'FAILED', error: refused })
    expect(status.error).toBe(refused)
  })

  it('is the tool at fault where no code says otherwise', async () => {
    const cause = new TypeError('x is not a function')
    const { error: thrown } = await failure().one.outcome(cause, true)
    expect(thrown).toMatchObject({ code: 'FM_INTERNAL', message: 'x is not a function', cause })
  })

  it('has only stopped where somebody wanted that', async () => {
    const interrupted = error('FM_INTERRUPTED')
    const { one, status } = failure({ wantsStop: true })
    expect(await one.outcome(interrupted, false)).toEqual({ state: 'INTERRUPTED', error: interrupted })
    expect(status.error).toBe(null)
    expect((await failure().one.outcome(interrupted, true)).state).toBe('FAILED')
  })

  it.each(['FM_TARGET_LOST', 'FM_CONNECT_SILENT', 'FM_CONNECT_LOST'] as const)(
    'has stopped in order while a server was away: %s',
    async (code) => {
      const { one, said } = failure({ wantsStop: true })
      expect(await one.outcome(error(code, code === 'FM_CONNECT_LOST'), true)).toEqual({
        state: 'INTERRUPTED',
        error: null,
      })
      expect(said).toEqual(['stopped: stopped while a server was away: gone'])
    },
  )

  it('has written nothing where it had not begun', async () => {
    const { one, said } = failure({ wantsStop: true })
    const cause = error('FM_CONNECT_LOST', true)
    const { state, error: thrown } = await one.outcome(cause, false)
    expect([state, said]).toEqual(['INTERRUPTED', []])
    expect(thrown).toMatchObject({ code: 'FM_INTERRUPTED', message: 'stopped before anything was written', cause })
  })

  it('fails also in a stop, by what is no server that is away', async () => {
    const refused = error('FM_TARGET_REFUSED')
    expect(await failure({ wantsStop: true }).one.outcome(refused, true)).toEqual({ state: 'FAILED', error: refused })
  })

  it('is not put back where it has no record of what it did', async () => {
    const { one, said } = failure({ autoRollback: true })
    await one.outcome(error('FM_TARGET_REFUSED'), true)
    expect([one.rollback, said]).toEqual([null, []])
  })
})
