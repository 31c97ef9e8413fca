import { MigrateError } from '@ferrite-migrate/contracts'
import { describe, expect, it } from 'vitest'
import { statusOf } from './memory-status.js'

describe('the status of a run', () => {
  it('tells no password, and what was counted', () => {
    const { status } = statusOf()
    status.progress.of('0').keysDone = 3
    expect(status.now()).toMatchObject({
      ...{ id: 'm', state: 'RUNNING', phase: 'PREFLIGHT', mode: 'live', keysDone: 3, lagKeys: null, error: null },
      source: expect.not.stringContaining('secret'),
    })
  })

  it('tells a phase once', () => {
    const { status, said } = statusOf()
    status.enter('INITIAL_SYNC')
    status.enter('INITIAL_SYNC')
    status.enter('LIVE_SYNC')
    expect(said).toEqual(['INITIAL_SYNC', 'LIVE_SYNC'])
  })

  it('stays at its end: what its shards still tell does not bring it back', () => {
    const { status, said } = statusOf()
    status.enter('STOPPING')
    for (const phase of ['INITIAL_SYNC', 'LIVE_SYNC'] as const) status.enter(phase)
    expect(status.phase).toBe('STOPPING')
    status.end('INTERRUPTED')
    expect([status.phase, status.state, said]).toEqual(['INTERRUPTED', 'INTERRUPTED', ['STOPPING', 'INTERRUPTED']])
  })

  it('tells what it failed with', () => {
    const { status } = statusOf()
    status.error = new MigrateError('FM_CONNECT_LOST', 'gone', 'Look.')
    status.end('FAILED')
    expect(status.now().error).toEqual({ code: 'FM_CONNECT_LOST', message: 'gone', hint: 'Look.' })
  })
})

describe('a target is in sync', () => {
  it.each([
    ['that is a moment behind', { bytes: 10, ms: 999 }, true],
    ['that is a second behind', { bytes: 10, ms: 1000 }, false],
    ['whose source has many more that it did not send yet', { keys: 5000, ms: 1 }, false],
    ['to which nothing is on its way', { keys: 0, ms: 5000 }, true],
    ['of which only the keys are known, as few as a cutover allows', { keys: 100 }, true],
    ['of which only the keys are known, one more', { keys: 101 }, false],
    ['of which nothing is known', {}, false],
  ])('%s', (_, lag, expected) => {
    const { status } = statusOf({ cutoverMaxLag: 100 })
    status.enter('LIVE_SYNC')
    status.progress.lag = lag
    expect(status.now().inSync).toBe(expected)
  })

  it('never while it is copied, or writes wait for the end of a pause', () => {
    const { status, gate } = statusOf()
    status.progress.lag = { keys: 0, bytes: 0, ms: 0 }
    expect(status.now().inSync).toBe(false)
    status.enter('LIVE_SYNC')
    expect(status.now()).toMatchObject({ inSync: true, etaMs: 0 })
    gate.pause()
    expect(status.now()).toMatchObject({ inSync: false, paused: true, etaMs: null })
  })
})
