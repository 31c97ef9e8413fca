import { setTimeout as sleep } from 'node:timers/promises'
import type { ReadRequest, Shard, SourceEvent } from '@ferrite-migrate/contracts'
import { describe, expect, it } from 'vitest'
import { SourceReading } from '../../../dist/engine/events/source-reading.js'
import { turn } from '../../doubles.js'

const SYNC: SourceEvent = { kind: 'sync', mode: 'full' }
const ENDS_WITHIN_MS = 200
const END: SourceEvent = { kind: 'snapshot-end' }

function shard(read: (request: ReadRequest) => AsyncGenerator<SourceEvent>): Shard {
  return { id: 'one', read }
}

/** Reads to the end and gives what was taken and said. */
function reading(of: Shard) {
  const stop = new AbortController()
  const taken: string[] = []
  const said: string[] = []
  const take = async (event: SourceEvent): Promise<boolean> => {
    taken.push(event.kind)
    return true
  }
  const run = (given = take) =>
    new SourceReading(of, 'a-plugin', ENDS_WITHIN_MS).run({ signal: stop.signal, changes: true }, given, (text) =>
      said.push(text),
    )
  return { stop, taken, said, run }
}

describe('the reading of a plugin', () => {
  it('gives each event until the source ends', async () => {
    const one = reading(
      shard(async function* () {
        yield SYNC
        yield END
      }),
    )
    await one.run()
    expect([one.taken, one.said]).toEqual([['sync', 'snapshot-end'], []])
  })

  it('ends when enough was taken, and lets the source tidy up', async () => {
    let tidied = false
    const one = reading(
      shard(async function* () {
        try {
          yield SYNC
          yield END
        } finally {
          tidied = true
        }
      }),
    )
    await one.run(async () => false)
    expect(tidied).toBe(true)
  })

  it('says whose fault it is that it throws', async () => {
    const broken = reading(
      // biome-ignore lint/correctness/useYield: it fails before it gives anything
      shard(async function* () {
        throw new TypeError('x is not a function')
      }),
    )
    await expect(broken.run()).rejects.toMatchObject({
      code: 'FM_PLUGIN_FAULT',
      message: 'the source plugin a-plugin failed while it was read: TypeError: x is not a function',
    })
    const fine = reading(
      shard(async function* () {
        yield SYNC
      }),
    )
    // What fails here is no fault of the plugin.
    const own = new TypeError('ours')
    await expect(fine.run(() => Promise.reject(own))).rejects.toBe(own)
  })

  it('is left when it does not end though it was asked to, and nothing of it is taken later', async () => {
    const late = Promise.withResolvers<void>()
    const one = reading(
      shard(async function* () {
        yield SYNC
        await late.promise
        yield END
      }),
    )
    const over = one.run()
    one.stop.abort()
    await over
    expect(one.said).toEqual([expect.stringContaining('a-plugin was asked to end its reading')])
    late.resolve()
    await turn()
    expect(one.taken).toEqual(['sync'])
  })

  it('that was left does not stand in the way of the next one', async () => {
    const late = Promise.withResolvers<void>()
    let readings = 0
    const one = shard(async function* () {
      const first = ++readings === 1
      yield SYNC
      if (first) await late.promise
      yield END
    })
    const taken: string[] = []
    const of = new SourceReading(one, 'a-plugin', ENDS_WITHIN_MS)
    const run = (signal: AbortSignal): Promise<void> =>
      of.run(
        { signal, changes: true },
        async ({ kind }) => {
          taken.push(kind)
          return true
        },
        () => undefined,
      )
    await run(AbortSignal.abort())
    await run(new AbortController().signal)
    late.resolve()
    await turn()
    expect(taken).toEqual(['sync', 'sync', 'snapshot-end'])
  })

  it('is not left while what it gave is still being taken', async () => {
    const written = Promise.withResolvers<boolean>()
    const one = reading(
      shard(async function* () {
        yield SYNC
      }),
    )
    const over = one.run(() => written.promise)
    one.stop.abort()
    await sleep(3 * ENDS_WITHIN_MS)
    expect(one.said).toEqual([])
    written.resolve(true)
    await over
  })
})
