import { describe, expect, it } from 'vitest'
import { WrittenSample } from '../../../dist/engine/target-content/written-sample.js'

const records = (from: number, count: number) =>
  Array.from({ length: count }, (_, i) => ({
    db: i % 2,
    key: Buffer.from(`k${from + i}`),
    value: { form: 'items' as const, type: 'string' as const, items: [Buffer.from('v')] },
    expireAt: 0,
  }))

/** A target of which only this question is asked. */
function holding(there: (key: string) => boolean) {
  const reader = {
    exist: async (_db: number, keys: readonly Buffer[]) => keys.map((key) => there(String(key))),
    close: async () => undefined,
  }
  return { reader: () => reader }
}

describe('a sample of what was written', () => {
  const sample = (): WrittenSample => {
    const made = new WrittenSample()
    for (let batch = 0; batch < 300; batch++) made.note(records(batch * 10, 10))
    return made
  }

  it('is there', async () => {
    expect(await sample().check(holding(() => true))).toEqual({ looked: 100, missing: 0 })
  })

  it('that is gone in part is counted, and wholly gone ends the run', async () => {
    const { looked, missing } = await sample().check(holding((key) => Number(key.slice(1)) % 2 === 0))
    expect(looked).toBe(100)
    expect(missing).toBeGreaterThan(10)
    expect(missing).toBeLessThan(90)
    await expect(sample().check(holding(() => false))).rejects.toMatchObject({
      code: 'FM_TARGET_KEEPS_NOTHING',
    })
  })

  it('says nothing of what was written before the source began anew', async () => {
    const made = sample()
    made.forget()
    expect(await made.check(holding(() => false))).toEqual({ looked: 0, missing: 0 })
  })

  it('says nothing of keys that end soon, and nothing when nothing was written', async () => {
    const made = new WrittenSample()
    made.note(records(0, 10).map((record) => ({ ...record, expireAt: Date.now() + 1000 })))
    expect(await made.check(holding(() => false))).toEqual({ looked: 0, missing: 0 })
  })
})
