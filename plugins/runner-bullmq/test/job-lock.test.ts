import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import type { ShardJob } from '../dist/connection/bull.js'
import { JobLock } from '../dist/work/job-lock.js'

const LOCK_MS = 5000

/** A job whose lock is renewed as `answer` says. */
function jobOf(answer: () => number | Promise<number>): ShardJob {
  return {
    id: 'j',
    data: { migration: 'm', shard: 's', round: 'r' },
    extendLock: async () => answer(),
    moveToCompleted: async () => undefined,
    moveToDelayed: async () => undefined,
  }
}

beforeEach(() => vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval', 'Date', 'performance'] }))
afterEach(() => vi.useRealTimers())

describe('the lock of a job', () => {
  it('holds as long as it is renewed', async () => {
    const lost = vi.fn()
    const lock = new JobLock(
      jobOf(() => 1),
      't',
      LOCK_MS,
      lost,
    )
    await lock.begin()
    for (let i = 0; i < 20; i++) {
      await vi.advanceTimersByTimeAsync(1000)
      lock.check()
    }
    expect(lost).not.toHaveBeenCalled()
    lock.end()
  })

  it('is lost by its own clock when the queue says nothing, before the queue may give it to another', async () => {
    const lost = vi.fn()
    let away = false
    const lock = new JobLock(
      jobOf(() => (away ? Promise.reject(new Error('away')) : 1)),
      't',
      LOCK_MS,
      lost,
    )
    await lock.begin()
    away = true
    await vi.advanceTimersByTimeAsync(LOCK_MS * 0.75)
    lock.check()
    await vi.advanceTimersByTimeAsync(LOCK_MS * 0.24)
    expect(lost).toHaveBeenCalledTimes(1)
    expect(() => lock.check()).toThrow(expect.objectContaining({ code: 'FM_RUN_TAKEN' }))
  })

  it('is lost by whoever stood still, before he writes once more', async () => {
    const lock = new JobLock(
      jobOf(() => 1),
      't',
      LOCK_MS,
      () => undefined,
    )
    await lock.begin()
    // No timer has run meanwhile, as after SIGSTOP and SIGCONT.
    vi.setSystemTime(Date.now() + LOCK_MS)
    expect(() => lock.check()).toThrow(expect.objectContaining({ code: 'FM_RUN_TAKEN' }))
  })

  it('is lost as soon as the queue has given it to another one, and stays so', async () => {
    const lost = vi.fn()
    let answer = 1
    const lock = new JobLock(
      jobOf(() => answer),
      't',
      LOCK_MS,
      lost,
    )
    await lock.begin()
    answer = 0
    await vi.advanceTimersByTimeAsync(1100)
    expect(lost).toHaveBeenCalledTimes(1)
    answer = 1
    expect(() => lock.check()).toThrow(expect.objectContaining({ code: 'FM_RUN_TAKEN' }))
    await expect(
      new JobLock(
        jobOf(() => 0),
        't',
        LOCK_MS,
        lost,
      ).begin(),
    ).rejects.toMatchObject({ code: 'FM_RUN_TAKEN' })
  })
})
