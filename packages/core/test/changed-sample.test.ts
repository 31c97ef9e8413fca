import type { KeyReader } from '@ferrite-migrate/contracts'
import { describe, expect, it } from 'vitest'
import { ChangedSample } from '../dist/engine/target-content/changed-sample.js'
import { NO_TRANSFORM } from '../dist/index.js'

/** A reader of which only this question is asked. */
function holding(there: (key: string) => boolean): KeyReader {
  const reader: Partial<KeyReader> = {
    exist: async (_db, keys) => keys.map((key) => there(String(key))),
  }
  return new Proxy(reader, { get: (of, name) => Reflect.get(of, name) }) as KeyReader
}

function sample(names: readonly string[]): ChangedSample {
  const made = new ChangedSample()
  const records = names.map((name) => {
    const argv = ['SET', name, 'v'].map((word) => Buffer.from(word))
    return { db: 0, name: 'SET', argv, resp: Buffer.alloc(0), receivedAt: 0 }
  })
  for (let from = 0; from < records.length; from += 4) made.note(records.slice(from, from + 4))
  return made
}
const names = Array.from({ length: 40 }, (_, i) => `k${i}`)

describe('a sample of what changed', () => {
  it('is counted where the source has it and the target has not', async () => {
    const even = (key: string): boolean => Number(key.slice(1)) % 2 === 0
    expect(
      await sample(names).check(
        holding(() => true),
        holding(() => true),
        NO_TRANSFORM,
      ),
    ).toBe(0)
    expect(
      await sample(names).check(
        holding(() => true),
        holding(even),
        NO_TRANSFORM,
      ),
    ).toBe(20)
    // What the source has deleted since is no loss.
    expect(await sample(names).check(holding(even), holding(even), NO_TRANSFORM)).toBe(0)
  })

  it('ends the run when the target has none of it', async () => {
    await expect(
      sample(names).check(
        holding(() => true),
        holding(() => false),
        NO_TRANSFORM,
      ),
    ).rejects.toMatchObject({ code: 'FM_TARGET_KEEPS_NOTHING' })
    expect(
      await sample(['one']).check(
        holding(() => true),
        holding(() => false),
        NO_TRANSFORM,
      ),
    ).toBe(1)
  })
})
