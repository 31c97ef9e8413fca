import { MemoryStore } from '@ferrite-migrate/conformance'
import type { KeyReader } from '@ferrite-migrate/contracts'
import { describe, expect, it } from 'vitest'
import { ChangedSample } from '../../../dist/engine/target-content/changed-sample.js'
import { NO_TRANSFORM, RecordFilter } from '../../../dist/index.js'
import { bytes, command, record } from '../../doubles.js'

function holding(...keys: string[]): KeyReader {
  const store = new MemoryStore()
  for (const key of keys) store.set(record(key))
  return store.reader()
}

function sample(names: readonly string[]): ChangedSample {
  const made = new ChangedSample()
  const records = names.map((name) => command('SET', name, 'v'))
  for (let from = 0; from < records.length; from += 4) made.note(records.slice(from, from + 4), ALL)
  return made
}
const ALL = new RecordFilter({})
const names = Array.from({ length: 40 }, (_, i) => `k${i}`)
const even = names.filter((_, i) => i % 2 === 0)

describe('a sample of what changed', () => {
  it('is counted where the source has it and the target has not', async () => {
    expect(await sample(names).check(holding(...names), holding(...names), NO_TRANSFORM)).toBe(0)
    expect(await sample(names).check(holding(...names), holding(...even), NO_TRANSFORM)).toBe(20)
    // What the source has deleted since is no loss.
    expect(await sample(names).check(holding(...even), holding(...even), NO_TRANSFORM)).toBe(0)
  })

  it('ends the run when the target has none of it', async () => {
    await expect(sample(names).check(holding(...names), holding(), NO_TRANSFORM)).rejects.toMatchObject({
      code: 'FM_TARGET_KEEPS_NOTHING',
    })
    expect(await sample(['one']).check(holding(...names, 'one'), holding(), NO_TRANSFORM)).toBe(1)
  })

  it('says nothing of what the filter leaves out, however much of it changed', async () => {
    const made = new ChangedSample()
    const others = Array.from({ length: 20 }, (_, i) => `other:${i}`)
    made.note(
      ['a:1', ...others].map((name) => command('SET', name, 'v')),
      new RecordFilter({ include: ['a:*'] }),
    )
    made.note([command('SET', 'a:2', 'v')], new RecordFilter({ include: ['a:*'] }))
    expect(await made.check(holding('a:2', ...others), holding('a:2'), NO_TRANSFORM)).toBe(0)
  })

  it('holds the last ones, of each batch a few, and nothing that is only read', async () => {
    const made = new ChangedSample()
    made.note(
      Array.from({ length: 100 }, (_, i) => command('SET', `batch:${i}`, 'v')),
      ALL,
    )
    made.note([command('GET', 'read'), command('PUBLISH', 'channel', 'x')], ALL)
    const batch = Array.from({ length: 100 }, (_, i) => `batch:${i}`)
    expect(await made.check(holding(...batch, 'read', 'channel'), holding('batch:99'), NO_TRANSFORM)).toBe(3)
    for (let i = 0; i < 100; i++) made.noteKey({ db: 0, key: bytes(`key:${i}`) })
    const later = Array.from({ length: 100 }, (_, i) => `key:${i}`)
    expect(await made.check(holding(...batch, ...later), holding('key:99'), NO_TRANSFORM)).toBe(63)
  })
})
