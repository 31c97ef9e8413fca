import { TestServer } from '@ferrite-migrate/servers'
import { Redis } from 'ioredis'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import type { ShardJobData } from '../dist/connection/bull.js'
import { RunKeys, WHOLE } from '../dist/connection/run-keys.js'
import { type Control, readControl } from '../dist/protocol/told.js'
import { Grouping } from '../dist/work/grouping.js'

const keys = new RunKeys('{p}', 'm')
let server: TestServer
let link: Redis
let added: ShardJobData[]
/** Takes jobs, and does what a test wants to happen before the next step. */
let taken: () => Promise<void>
beforeAll(async () => {
  server = await TestServer.start()
  link = new Redis(server.url)
})
afterAll(async () => {
  link.disconnect()
  await server.stop()
})
beforeEach(async () => {
  await link.flushall()
  await link.hset(keys.control, { version: 3, round: 'r0', grouping: 'apart', paused: '1' })
  added = []
  taken = async () => undefined
})

function groupingOf(shard: string, round: string): Grouping {
  const jobs = {
    addBulk: async (all: readonly { data: ShardJobData }[]) => {
      added.push(...all.map(({ data }) => data))
      await taken()
      return []
    },
    getActive: async () => [],
  }
  return new Grouping(link, keys, jobs, { migration: 'm', shard, round })
}
async function control(): Promise<Control> {
  const found = readControl(await link.hgetall(keys.control))
  if (found === null) throw new Error('there is no record')
  return found
}

describe('shards that are dealt out otherwise', () => {
  it('have their jobs, and the record that tells of them', async () => {
    expect(await groupingOf('a', 'r0').change('whole', [])).toContain('one worker reads all')
    const now = await control()
    expect(added).toEqual([{ migration: 'm', shard: WHOLE, round: now.round }])
    expect(now).toMatchObject({ grouping: 'whole', paused: true, version: 4 })
    expect(groupingOf(WHOLE, now.round).isOfNow(now)).toBe(true)
    expect(groupingOf('a', 'r0').isOfNow(now)).toBe(false)
    // A second one that comes to the same end changes nothing.
    expect(await groupingOf('b', 'r0').change('whole', [])).toBe(null)
  })

  it('are not lost where a job is taken before the record tells of it, or whoever made it is lost', async () => {
    let first: Control | null = null
    taken = async () => {
      const [{ round }] = added
      const early = groupingOf(WHOLE, round)
      const told = await control()
      expect(early.isOfNow(told)).toBe(false)
      first = await early.announce(told)
      expect(early.isOfNow(await control())).toBe(true)
      throw new Error('lost')
    }
    await expect(groupingOf('a', 'r0').change('whole', [])).rejects.toThrow('lost')
    expect(first).toEqual(await control())
  })

  it('have no use for jobs of a former round', async () => {
    await groupingOf('a', 'r0').change('whole', [])
    const whole = await control()
    expect(await groupingOf('a', 'r0').announce(whole)).toBe(null)
    await groupingOf(WHOLE, whole.round).change('apart', ['a', 'b'])
    const apart = await control()
    expect(await groupingOf(WHOLE, whole.round).announce(apart)).toBe(null)
    expect(await control()).toEqual(apart)
    expect(added.slice(1).map(({ shard, round }) => [shard, round === apart.round])).toEqual([
      ['a', true],
      ['b', true],
    ])
  })
})
