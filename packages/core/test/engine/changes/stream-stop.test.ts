import { MemoryStore } from '@ferrite-migrate/conformance'
import { describe, expect, it } from 'vitest'
import { type StoppableShard, StreamStop, type StreamStopNeeds } from '../../../dist/engine/changes/stream-stop.js'

describe('a stop of the stream', () => {
  const options: StreamStopNeeds = { transform: { names: async () => [] } }
  const lanes = { drain: async () => undefined }
  const reader = new MemoryStore().reader()
  const BATCH = 10
  /** Positions are numbers. The source is read within a batch; its answer takes a while, and batches end there once it came. */
  function stream(): { readonly shard: StoppableShard; passed: number; mark: number } {
    const state = {
      passed: 0,
      mark: 0,
      shard: {
        covers: (position: string, mark: string) => Number(position) >= Number(mark),
        readAt: async () => {
          const at = state.passed + BATCH / 2
          await new Promise((resolve) => setTimeout(resolve, 20))
          state.mark = at
          return { records: [], position: String(at) }
        },
      },
    }
    return state
  }

  it('is never run past, however long the source takes to answer', async () => {
    const state = stream()
    const stop = new StreamStop(options, lanes, state.shard)
    let running = true
    const writer = (async () => {
      for (; running; await new Promise((resolve) => setImmediate(resolve))) {
        const end = state.passed + BATCH
        state.passed = state.mark > state.passed && state.mark < end ? state.mark : end
        await stop.pass(String(state.passed))
      }
    })()
    for (let round = 0; round < 5; round++) {
      const passed = state.passed
      expect(await stop.readBoth([], reader)).toEqual({ source: [], target: [] })
      expect(state.passed).toBeGreaterThan(passed)
    }
    running = false
    await writer
  })

  it('that is never reached because the stream ends is given up', async () => {
    const { shard } = stream()
    const stop = new StreamStop(options, lanes, shard)
    const both = stop.readBoth([], reader)
    await stop.pass('1')
    stop.end()
    expect(await both).toBeNull()
    expect(await stop.readBoth([], reader)).toBeNull()
    const idle = new StreamStop(options, lanes, shard)
    const never = idle.readBoth([], reader)
    idle.end()
    expect(await never).toBeNull()
  })
})
