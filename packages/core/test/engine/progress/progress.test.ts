import { describe, expect, it } from 'vitest'
import { Progress } from '../../../dist/engine/progress/progress.js'
import { bytes, NOTHING } from '../../doubles.js'

describe('progress', () => {
  it('counts each key once: read is filtered out, left out, kept and the rest', () => {
    const progress = new Progress()
    progress.of('one').keysDone = 10
    progress.of('one').filtered = 4
    progress.of('two').keysDone = 3
    progress.of('two').keysTotal = 5
    expect([progress.keysDone, progress.keysTotal, progress.filtered]).toEqual([13, 5, 4])
    progress.passOver(bytes('a'))
    // What the other shard has read stays read.
    progress.restartSnapshot('one')
    expect([progress.keysDone, progress.filtered, progress.passed]).toEqual([3, 0, 1])
    for (let i = 0; i < 9; i++) progress.passOver(bytes(`k${i}`))
    expect([progress.passed, progress.passedExamples]).toEqual([10, ['a', 'k0', 'k1', 'k2', 'k3']])
  })

  it('adds up what the target answered, and names what it could not hold', () => {
    const progress = new Progress()
    const failure = { db: 1, key: bytes('bad'), reason: 'no', code: 'refused' } as const
    for (let i = 0; i < 2; i++)
      progress.add({
        ...NOTHING,
        written: 5,
        skipped: 2,
        deleted: 1,
        byteLength: 100,
        failed: [failure],
        notCarried: [{ what: 'field ttl', db: 0, key: bytes(`h${i}`) }],
      })
    const { written, skipped, deleted, sentBytes, failed } = progress
    expect({ written, skipped, deleted, sentBytes, failed }).toEqual({
      ...{ written: 10, skipped: 4, deleted: 2, sentBytes: 200, failed: 2 },
    })
    expect(progress.failures[0]).toEqual({ db: 1, key: 'bad', reason: 'no' })
    expect([...progress.notCarried]).toEqual([['field ttl', { count: 2, examples: ['h0', 'h1'] }]])
    expect(['h0', 'h2'].map((key) => progress.isLeftOut(0, bytes(key)))).toEqual([true, false])
  })

  it('goes on where a former process was, until a shard begins anew', () => {
    const progress = new Progress()
    progress.restore({
      ...{ keysDone: 100, keysTotal: 200, keysFiltered: 7, bytesDone: 5, bytesTotal: null, changesApplied: 9 },
      ...{ keysWritten: 80, keysSkipped: 1, keysDeleted: 2, keysFailed: 3 },
    })
    progress.of('s').keysDone = 50
    expect([progress.keysDone, progress.keysTotal, progress.filtered, progress.changesApplied]).toEqual([
      150, 200, 7, 9,
    ])
    progress.restartSnapshot('s')
    expect([progress.keysDone, progress.keysTotal, progress.written]).toEqual([0, null, 80])
  })

  it('has a rate over the last seconds, and a time from it', () => {
    const progress = new Progress()
    expect([progress.rate, progress.etaMs(false)]).toEqual([0, null])
    const shard = progress.of('s')
    shard.keysTotal = 10_000
    for (let second = 0; second <= 20; second++) {
      // Twice as fast from the tenth second on: the slow ones leave the window.
      shard.keysDone = second <= 10 ? second * 100 : 1000 + (second - 10) * 200
      progress.sample(second * 1000)
    }
    expect([progress.rate, progress.etaMs(false)]).toEqual([200, (7000 / 200) * 1000])
  })

  it('knows whether the lag shrinks, and until when', () => {
    const shrinking = new Progress()
    const growing = new Progress()
    for (let second = 0; second < 5; second++) {
      shrinking.lag = { bytes: 10_000_000 - second * 1_000_000 }
      growing.lag = { bytes: 10_000_000 + second * 1_000_000 }
      shrinking.sample(second * 1000)
      growing.sample(second * 1000)
    }
    expect([shrinking.diverging, shrinking.etaMs(true)]).toEqual([false, 6000])
    expect([growing.diverging, growing.etaMs(true)]).toEqual([true, null])
    expect(new Progress().etaMs(true)).toBe(0)
  })
})
