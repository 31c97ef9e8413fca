import { MemorySource, MemoryStore, MemoryTarget } from '@ferrite-migrate/conformance'
import type { OpenedSource, OpenedTarget } from '@ferrite-migrate/contracts'
import { describe, expect, it } from 'vitest'
import { wholeSource, wholeTarget } from '../../dist/adapters/whole-adapter.js'

const shard = { id: 'one', read: async function* () {} }
const source = { capabilities: {}, description: {}, shards: [shard] }
const missing = (what: string) => expect.objectContaining({ code: 'FM_PLUGIN_FAULT', message: `the ${what}` })

/** As plain JavaScript may give it. */
const sourceOf = (given: unknown) => wholeSource(given as OpenedSource, 'p')
const targetOf = (given: unknown) => wholeTarget(given as OpenedTarget, 'p')

describe('what a plugin gives', () => {
  it('is taken as it is when it is whole', () => {
    const whole = new MemorySource(new MemoryStore())
    expect(wholeSource(whole, 'p')).toBe(whole)
    const target = new MemoryTarget()
    expect(wholeTarget(target, 'p')).toBe(target)
  })

  it('need not be released where it holds nothing', async () => {
    await expect(sourceOf({ ...source })[Symbol.asyncDispose]()).resolves.toBeUndefined()
  })

  it.each([
    [undefined, 'anything in it'],
    [{}, '`capabilities`'],
    [{ capabilities: {} }, '`description`'],
    [{ ...source, shards: [] }, 'a shard in `shards`'],
    [{ ...source, shards: [{ id: 'one' }] }, '`id` and `read` in each of its shards'],
    [{ ...source, shards: [{ ...shard, id: '' }] }, '`id` and `read` in each of its shards'],
    [{ ...source, shards: [shard, shard] }, 'different ids for its shards'],
  ])('is no source: %j', (given, what) => {
    expect(() => sourceOf(given)).toThrow(missing(`source plugin p gave a source without ${what}`))
  })

  it.each([
    [null, 'anything in it'],
    [{}, '`dialect`'],
    [{ dialect: {} }, '`write`'],
  ])('is no target: %j', (given, what) => {
    expect(() => targetOf(given)).toThrow(missing(`target plugin p gave a target without ${what}`))
  })
})
