import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { afterEach, describe, expect, it, vi } from 'vitest'
import { currentProcess, StateStore } from '../../dist/index.js'
import type { StoredLease } from '../../dist/state/run-facts.js'
import { RunLease } from '../../dist/state/run-lease.js'
import { directory } from '../doubles.js'
import { status } from './stored-migration.js'

afterEach(() => {
  vi.useRealTimers()
})

describe('a lease', () => {
  const held = (owner: string, expiresIn = 15_000): StoredLease => ({
    owner,
    epoch: 1,
    renewedAt: Date.now(),
    expiresAt: Date.now() + expiresIn,
  })

  it('is looked at again after a while, and lost for good when another process is the owner', () => {
    vi.useFakeTimers()
    let owner = 'me'
    let looks = 0
    const lease = new RunLease('m', 'me', {
      lease: () => {
        looks++
        return held(owner)
      },
      renew: () => true,
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
    const lease = new RunLease('m', 'me', {
      lease: () => {
        looks++
        return held('me')
      },
      renew: () => true,
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
    const locked = (): never => {
      throw new Error('database is locked')
    }
    const lease = new RunLease('m', 'me', { lease: locked, renew: locked })
    lease.check()
    expect(lease.isLost).toBe(false)
  })

  it('that has expired is renewed before anything is written, or lost', () => {
    let renewed = 0
    const lease = new RunLease('m', 'me', { lease: () => held('me', -1), renew: () => ++renewed > 0 })
    lease.check()
    expect(renewed).toBe(1)
    const late = new RunLease('m', 'me', { lease: () => held('me', -1), renew: () => false })
    expect(() => late.check()).toThrow(expect.objectContaining({ code: 'FM_RUN_TAKEN' }))
  })

  it('belongs to one process, whatever its pid says', () => {
    const place = directory()
    const store = new StateStore(place)
    const db = new DatabaseSync(join(place, 'state.db'))
    const holder = (process: object, expiresIn: number): void => {
      db.prepare("UPDATE migrations SET holder = ?, expires_at = ? WHERE id = 'm'").run(
        JSON.stringify({ ...currentProcess(), ...process }),
        Date.now() + expiresIn,
      )
    }
    const running = status()
    const run = (owner: string): number =>
      store.create({
        ...{ id: 'm', createdAt: 1, source: 's', target: 't', mode: 'live', config: '{}', facts: {}, plan: '{}' },
        ...{ owner, status: running },
      })
    const taken = expect.objectContaining({ code: 'FM_ID_TAKEN' })
    expect(run('first')).toBe(1)
    expect(() => run('second')).toThrow(taken)
    // Another machine, where a process of that number lives or not: only the end of the lease tells.
    holder({ host: 'elsewhere', pid: 999_999_999 }, 5000)
    expect(() => run('second')).toThrow(taken)
    expect(store.get('m').status.state).toBe('RUNNING')
    holder({ host: 'elsewhere', pid: process.pid }, -1)
    expect(store.get('m').status.state).toBe('INTERRUPTED')
    expect(run('second')).toBe(2)
    expect(store.save('m', 'first', running)).toBe(false)
    expect(store.renew('m', 'first')).toBe(false)
    expect(store.lease('m')).toMatchObject({ owner: 'second', epoch: 2 })
    // The number of a process that is gone belongs to another one by now.
    if (currentProcess().startedAt !== '') {
      holder({ startedAt: '1' }, 5000)
      expect(run('third')).toBe(3)
    }
    holder({ pid: 999_999_999, startedAt: '1' }, 5000)
    expect(run('fourth')).toBe(currentProcess().startedAt === '' ? 3 : 4)
    db.close()
    store.close()
  })
})
