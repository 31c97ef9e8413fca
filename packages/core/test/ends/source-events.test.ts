import type { ReadRequest, Shard, ShardChange, Source, SourceEvent } from '@ferrite-migrate/contracts'
import { describe, expect, it } from 'vitest'
import { eachEvent } from '../../dist/ends/source-events.js'
import { record } from '../doubles.js'

const snapshot = (name: string): SourceEvent => ({ kind: 'snapshot', records: [record(name)], byteLength: 1 })

function shard(id: string, read: (request: ReadRequest) => AsyncIterable<SourceEvent>): Shard {
  return { id, read }
}

function source(shards: readonly Shard[], watch?: Source['watch']): Source {
  return {
    capabilities: { changes: 'none', resume: 'none' },
    description: {},
    shards,
    ...(watch === undefined ? {} : { watch }),
    [Symbol.asyncDispose]: async () => undefined,
  }
}

/** Shards that begin only when all of them are read, as those of a cluster. */
function together(count: number, begun = Promise.withResolvers<void>()): Shard[] {
  let left = count
  return Array.from({ length: count }, (_, i) =>
    shard(`${i}`, async function* () {
      if (--left === 0) begun.resolve()
      await begun.promise
      yield { kind: 'sync', mode: 'full' }
      yield snapshot(`${i}`)
      yield { kind: 'snapshot-end' }
    }),
  )
}

describe('the events of all shards', () => {
  it('come also of shards that wait for each other, one event at a time', async () => {
    const seen: string[] = []
    let busy = 0
    await eachEvent(source(together(3)), new AbortController().signal, async (id, event) => {
      expect(++busy).toBe(1)
      await new Promise((resolve) => setImmediate(resolve))
      seen.push(`${id} ${event.kind}`)
      busy--
    })
    expect(seen.toSorted()).toEqual(
      ['0', '1', '2'].flatMap((id) => [`${id} snapshot`, `${id} snapshot-end`, `${id} sync`]),
    )
  })

  it('come of a shard that joins meanwhile', async () => {
    const [second] = together(1)
    const joined = Promise.withResolvers<void>()
    const first = shard('first', async function* () {
      yield { kind: 'sync', mode: 'full' }
      await joined.promise
      yield { kind: 'snapshot-end' }
    })
    const watch = async function* (signal: AbortSignal): AsyncGenerator<ShardChange> {
      yield { kind: 'added', shard: { ...second, id: 'second' } }
      await new Promise((resolve) => signal.addEventListener('abort', resolve))
    }
    const seen = new Set<string>()
    await eachEvent(source([first], watch), new AbortController().signal, async (id) => {
      seen.add(id)
      if (id === 'second') joined.resolve()
    })
    expect(seen).toEqual(new Set(['first', 'second']))
  })

  it('end with the fault of one of them, or of who takes them', async () => {
    const endless = (): Shard =>
      shard('endless', async function* ({ signal }) {
        yield { kind: 'sync', mode: 'full' }
        if (!signal.aborted) await new Promise((resolve) => signal.addEventListener('abort', resolve))
      })
    const broken = shard('broken', async function* () {
      yield { kind: 'sync', mode: 'full' }
      throw new Error('broken')
    })
    const { signal } = new AbortController()
    await expect(eachEvent(source([endless(), broken]), signal, async () => undefined)).rejects.toThrow('broken')
    const refuses = async (): Promise<void> => {
      throw new Error('refused')
    }
    await expect(eachEvent(source([endless()]), signal, refuses)).rejects.toThrow('refused')
    const stopped = new AbortController()
    await eachEvent(source([endless()]), stopped.signal, async () => stopped.abort())
  })
})
