import { Redis } from 'ioredis'
import { beforeEach, describe, expect, it } from 'vitest'
import { RunKeys } from '../dist/connection/run-keys.js'
import { RunHub } from '../dist/follow/run-hub.js'

/** What was written into the control record, field by field. */
let written: string[][]
let fails: boolean
let hub: RunHub
beforeEach(() => {
  written = []
  fails = false
  const link = Object.assign(new Redis({ lazyConnect: true }), {
    eval: async (...args: unknown[]) => {
      if (fails) throw new Error('away')
      written.push(args.slice(4).map(String))
      return written.length
    },
  })
  const logger = { log: () => undefined, enabled: () => false }
  hub = new RunHub(link, link, new RunKeys('{x}', 'm'), logger, () => undefined)
})

describe('what all workers are to do', () => {
  it('is written once, however many shards want the same', async () => {
    expect(await Promise.all([1, 2, 3].map(() => hub.change({ frozen: true })))).toEqual([1, 1, 1])
    expect(await hub.change({ frozen: true, paused: true })).toBe(2)
    expect(await hub.change({ paused: true })).toBe(2)
    expect(await hub.change({ paused: false })).toBe(3)
    expect(written).toEqual([
      ['frozen', '1'],
      ['frozen', '1', 'paused', '1'],
      ['paused', '0'],
    ])
  })

  it('never becomes less urgent: who is to end soon does not wait for a pause to be over', async () => {
    await hub.change({ ending: 'stop' })
    await hub.change({ ending: 'read' })
    expect(written).toEqual([['ending', 'stop']])
  })

  it('is written again where nobody knows whether it was', async () => {
    fails = true
    await expect(hub.change({ paused: true })).rejects.toThrow('away')
    fails = false
    await hub.change({ paused: true })
    expect(written).toEqual([['paused', '1']])
  })
})
