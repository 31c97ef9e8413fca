import type { Reply } from '@ferrite-migrate/protocol'
import { describe, expect, it } from 'vitest'
import { ShardFence } from '../dist/shard-fence.js'

/** A server's hashes, and what was asked of it. */
function server() {
  const hashes = new Map<string, Map<string, string>>()
  const ask = async (...argv: (string | Buffer)[]): Promise<Reply> => {
    const [command, key, ...rest] = argv.map(String)
    const hash = hashes.get(key) ?? new Map<string, string>()
    hashes.set(key, hash)
    if (command === 'HSET') for (let i = 0; i < rest.length; i += 2) hash.set(rest[i], rest[i + 1])
    if (command === 'HDEL') for (const field of rest) hash.delete(field)
    return command === 'HKEYS' ? [...hash.keys()].map((field) => Buffer.from(field)) : 0
  }
  return { ask, hashes }
}

const fenceOf = (ask: ReturnType<typeof server>['ask'], shard: string, epoch: number): ShardFence =>
  new ShardFence('m', { epoch, owner: `${shard}.${epoch}`, shard }, ask)

describe('the fence of a shard', () => {
  it('lets the highest epoch write, and nobody before it', async () => {
    const { ask, hashes } = server()
    const first = fenceOf(ask, 's', 1)
    await first.put()
    await first.admit(ask)
    const second = fenceOf(ask, 's', 2)
    await second.put()
    await expect(first.admit(ask)).rejects.toMatchObject({ code: 'FM_RUN_TAKEN' })
    await expect(first.beat()).rejects.toMatchObject({ code: 'FM_RUN_TAKEN' })
    await second.admit(ask)
    // A claim that comes too late, of somebody who was fast and then stood still.
    await expect(fenceOf(ask, 's', 1).put()).rejects.toMatchObject({ code: 'FM_RUN_TAKEN' })
    expect([...hashes.values()].flatMap((hash) => [...hash.keys()])).toContain('s 2')
  })

  it('never lets two that claim at once both believe that they are the last', async () => {
    for (const order of [
      [5, 6],
      [6, 5],
    ]) {
      const { ask } = server()
      // Each waits between what it writes and what it reads, as a network has it.
      const slow = async (...argv: (string | Buffer)[]): Promise<Reply> => {
        const reply = await ask(...argv)
        await Promise.resolve()
        return reply
      }
      const fences = order.map((epoch) => fenceOf(slow, 's', epoch))
      const put = await Promise.allSettled(fences.map((fence) => fence.put()))
      const admitted = await Promise.allSettled(fences.map((fence) => fence.admit(slow)))
      const may = order.filter((_, i) => put[i].status === 'fulfilled' && admitted[i].status === 'fulfilled')
      expect(may).toEqual([6])
    }
  })

  it('is of one shard, or of all', async () => {
    const { ask } = server()
    const [a, b] = [fenceOf(ask, 'a', 1), fenceOf(ask, 'b', 2)]
    await a.put()
    await b.put()
    await a.admit(ask)
    const all = fenceOf(ask, '*', 3)
    await all.put()
    for (const one of [a, b]) await expect(one.admit(ask)).rejects.toMatchObject({ code: 'FM_RUN_TAKEN' })
    await fenceOf(ask, 'a', 4).put()
    await expect(all.admit(ask)).rejects.toMatchObject({ code: 'FM_RUN_TAKEN' })
  })

  it('is put up again where the target has lost it', async () => {
    const { ask, hashes } = server()
    const fence = fenceOf(ask, 's', 1)
    await fence.put()
    hashes.clear()
    await fence.admit(ask)
    await expect(fenceOf(ask, 's', 0).put()).rejects.toMatchObject({ code: 'FM_RUN_TAKEN' })
  })

  it('ends connections and temporary keys of former epochs alone', () => {
    const fence = fenceOf(server().ask, 's', 3)
    const connection = (text: string): boolean => fence.endsConnection(`ferrite-migrate:${text}`)
    expect(['m:s:2', 'm:*:1'].map(connection)).toEqual([true, true])
    expect(['m:s:3', 'm:s:4', 'm:t:1', 'n:s:1', 'm', 'm:s'].map(connection)).toEqual(Array(6).fill(false))
    expect(fence.endsTemporary('__ferrite_migrate__:tmp:m:s:2:abc')).toBe(true)
    expect(fence.endsTemporary('__ferrite_migrate__:tmp:m:s:3:abc')).toBe(false)
    expect(fenceOf(server().ask, '*', 9).endsConnection('ferrite-migrate:m:t:8')).toBe(true)
  })
})
