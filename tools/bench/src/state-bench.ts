import { FerriteEmulator } from '@ferrite-migrate/ferrite-emulator'
import { parseEndpoint, RedisLink } from '@ferrite-migrate/redis'
import { TestServer } from '@ferrite-migrate/servers'
import { benchWrites, type LiveRow } from './live-bench.js'
import { processUse } from './measure.js'
import { LiveTool } from './tool.js'

/** Changes that arrive as the state of their keys. */
export interface StateRow extends LiveRow {
  /** Of a core, while it was written to. */
  readonly sourceCpu: number
}

const PER_SECOND = 10_000
const SECONDS = 20
const FILL = 10_000

/** Strings under the names that are written later. */
async function fill(url: string, keys: number): Promise<void> {
  const link = await RedisLink.open(parseEndpoint(url))
  for (let from = 0; from < keys; from += FILL)
    await link.pipeline((out) => {
      const to = Math.min(keys, from + FILL)
      for (let i = from; i < to; i++) out.call('SET', `key:${i}`, 'x'.repeat(60))
      return to - from
    })
  link.close()
}

/** 10,000 writes a second over so many strings, each of which is read again. @param bin the program that follows them */
export async function stateRow(keys: number, into: 'server' | 'emulator', bin?: string): Promise<StateRow> {
  const source = await TestServer.start()
  const store = await TestServer.start()
  const emulator = into === 'emulator' ? await FerriteEmulator.start(parseEndpoint(store.url)) : null
  try {
    await fill(source.url, keys)
    const target = emulator ?? store
    // A Ferrite has states written to it anyway.
    const extra = emulator === null ? ['--capture', 'notifications'] : []
    const tool = await LiveTool.start(source.url, target.url, extra, bin)
    try {
      const before = processUse(source.pid ?? 0).cpuMs
      const startedAt = performance.now()
      let use = 0
      const follower = {
        name: 'ferrite-migrate',
        use: () => {
          use = processUse(source.pid ?? 0).cpuMs
          return tool.use
        },
        stop: () => tool.stop(),
      }
      const load = { writes: PER_SECOND * SECONDS, perSecond: PER_SECOND, transactions: false, keys }
      const job = `${into === 'emulator' ? into : 'notifications'}, ${keys.toLocaleString('en-US')} keys`
      const row = await benchWrites(job, follower, source, target, load, store)
      return { ...row, sourceCpu: (use - before) / (performance.now() - startedAt) }
    } finally {
      await tool.stop()
    }
  } finally {
    await emulator?.stop()
    await store.stop()
    await source.stop()
  }
}

/** The same into a server and into the emulated Ferrite. */
export async function benchState(keys: number): Promise<StateRow[]> {
  return [await stateRow(keys, 'server'), await stateRow(keys, 'emulator')]
}
