import { MemoryStore, MemoryTarget } from '@ferrite-migrate/conformance'
import { describe, expect, it } from 'vitest'
import { POSTPONED_MS } from '../../../dist/engine/expiry/later-end.js'
import { PostponedEnds } from '../../../dist/engine/expiry/postponed-ends.js'
import { record, words } from '../../doubles.js'

const DAY = 24 * 3_600_000

async function restored(store: MemoryStore): Promise<string[]> {
  const found: string[] = []
  for await (const page of new PostponedEnds({ target: new MemoryTarget(store) }).restore())
    found.push(...page.map((one) => `${one.db} ${words(one)}`))
  return found.sort()
}

describe('postponed ends', () => {
  const ends = new PostponedEnds({ target: new MemoryTarget() })

  it('are those that have passed or are near', () => {
    const now = Date.now()
    const records = [
      record('never'),
      record('passed', 'v', 1_300_000_000_000),
      record('near', 'v', now + 1000),
      record('far', 'v', now + 2 * DAY),
    ]
    expect(ends.postpone(records).map(({ expireAt }) => expireAt)).toEqual([
      0,
      1_300_000_000_000 + POSTPONED_MS,
      now + 1000 + POSTPONED_MS,
      now + 2 * DAY,
    ])
    const untouched = [records[0], records[3]]
    expect(ends.postpone(untouched)).toBe(untouched)
  })

  it('are taken back at the end, each to what it was', async () => {
    const now = Date.now()
    const records = [
      record('passed', 'v', 1_300_000_000_000),
      record('near', 'v', now + 1000, 2),
      record('far', 'v', now + 2 * DAY),
      record('never'),
    ]
    const store = new MemoryStore()
    for (const one of ends.postpone(records)) store.set(one)
    expect(await restored(store)).toEqual(['0 PEXPIREAT passed 1300000000000', `2 PEXPIREAT near ${now + 1000}`])
  })

  it('are told from ends that somebody else set so late', async () => {
    const store = new MemoryStore()
    // Of before there was a Redis, and of after anything that is postponed.
    store.set(record('early', 'v', POSTPONED_MS + 1_000_000_000_000))
    store.set(record('late', 'v', POSTPONED_MS + Date.now() + 3 * DAY))
    expect(await restored(store)).toEqual([])
  })
})
