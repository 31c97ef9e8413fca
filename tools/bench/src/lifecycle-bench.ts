import { mkdtempSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { parseEndpoint, RedisLink } from '@ferrite-migrate/redis'
import { TestServer } from '@ferrite-migrate/servers'
import { fill } from './dataset.js'
import { countDifferences } from './equality.js'
import { median } from './measure.js'
import { Random } from './random.js'
import { cutOver, LiveTool, runCommand } from './tool.js'
import { mixedWrite } from './writer.js'

export interface LifecycleRow {
  readonly what: string
  readonly value: string
}

const STALL_S = 30
const STALL_RATE = 20_000

/** Writes at a rate until stopped; remembers the longest time that a write waited, ms, and gives the number of writes. */
async function startWriter(url: string, perSecond: number): Promise<{ longest(): number; stop(): Promise<number> }> {
  const link = await RedisLink.open(parseEndpoint(url))
  const random = new Random(5)
  let longest = 0
  let going = true
  let n = 0
  const work = (async () => {
    const startedAt = performance.now()
    while (going) {
      if (n > ((performance.now() - startedAt) / 1000) * perSecond) {
        await sleep(1)
        continue
      }
      const at = performance.now()
      await link.pipeline((out) => {
        for (let i = 0; i < 20; i++) mixedWrite(random, out, n++)
        return 20
      })
      longest = Math.max(longest, performance.now() - at)
    }
  })()
  return {
    longest: () => longest,
    stop: async () => {
      going = false
      await work
      link.close()
      return n
    },
  }
}

/** How long writers wait at a cutover under 10,000 writes a second: by the tool's own word, and as a writer saw it. */
export async function benchCutover(rounds: number, verify: boolean): Promise<LifecycleRow> {
  const said: number[] = []
  const seen: number[] = []
  for (let round = 0; round < rounds; round++) {
    const source = await TestServer.start()
    const target = await TestServer.start()
    try {
      await fill(parseEndpoint(source.url), 'mixed', 100_000)
      const state = mkdtempSync(join(tmpdir(), 'fm-bench-'))
      const tool = await LiveTool.start(source.url, target.url, ['--id', 'bench', '--state-dir', state])
      const writer = await startWriter(source.url, 10_000)
      await sleep(2000)
      said.push(await cutOver(state, verify ? ['--verify'] : []))
      await sleep(200)
      await writer.stop()
      await tool.stop()
      seen.push(writer.longest())
    } finally {
      await source.stop()
      await target.stop()
    }
  }
  return {
    what: `cutover${verify ? ' --verify' : ''} at 10,000 writes/s, 100,000 keys`,
    value: `writers kept out for ${median(said)} ms (longest write seen: ${median(seen).toFixed(0)} ms)`,
  }
}

/** A target that stands still for 30 s under 20,000 writes a second: what the source keeps for it, and how long it takes to drain. */
export async function benchStall(keys: number): Promise<LifecycleRow> {
  const source = await TestServer.start()
  const target = await TestServer.start()
  try {
    await fill(parseEndpoint(source.url), 'mixed', keys)
    const tool = await LiveTool.start(source.url, target.url)
    const writer = await startWriter(source.url, STALL_RATE)
    const link = await RedisLink.open(parseEndpoint(source.url))
    await sleep(1000)
    target.signal('SIGSTOP')
    let most = 0
    for (let second = 0; second < STALL_S; second++) {
      await sleep(1000)
      const clients = String(await link.call('CLIENT', 'LIST', 'TYPE', 'replica'))
      most = Math.max(most, ...[...clients.matchAll(/omem=(\d+)/g)].map((found) => Number(found[1])))
    }
    target.signal('SIGCONT')
    const startedAt = performance.now()
    const written = await writer.stop()
    await link.call('SET', 'end-mark', 'stall')
    const there = await RedisLink.open(parseEndpoint(target.url))
    while (String(await there.call('GET', 'end-mark')) !== 'stall') await sleep(10)
    const drained = performance.now() - startedAt
    const { rssMb } = tool.use
    link.close()
    there.close()
    await tool.stop()
    const differences = await countDifferences(source.url, target.url)
    return {
      what: `target stopped for ${STALL_S} s under ${STALL_RATE.toLocaleString('en-US')} writes/s, ${written.toLocaleString('en-US')} written`,
      value: `replica output buffer of the source at most ${(most / 1024).toFixed(0)} KB; drained ${(drained / 1000).toFixed(1)} s after; RSS ${rssMb.toFixed(0)} MB; ${differences} differences`,
    }
  } finally {
    target.signal('SIGCONT')
    await source.stop()
    await target.stop()
  }
}

/** What it costs to go on after half a snapshot, against a whole one. */
export async function benchResume(keys: number): Promise<LifecycleRow[]> {
  const source = await TestServer.start()
  const target = await TestServer.start()
  try {
    await fill(parseEndpoint(source.url), 'mixed', keys)
    const link = await RedisLink.open(parseEndpoint(target.url))
    const state = mkdtempSync(join(tmpdir(), 'fm-bench-'))
    const ends = ['-s', source.url, '-t', target.url, '-m', 'snapshot', '--state-dir', state]
    const whole = await runCommand(['migrate', '--id', 'whole', ...ends])
    await link.call('FLUSHALL')
    const killed = runCommand(
      ['migrate', '--id', 'half', ...ends],
      async () => Number(await link.call('DBSIZE')) > keys / 2,
    )
    await killed
    const there = Number(await link.call('DBSIZE'))
    const resumed = await runCommand(['migrate', '--resume', 'half', '--state-dir', state])
    const equal = await runCommand(['migrate', '--id', 'again', '--no-undo', ...ends])
    link.close()
    if (resumed.code !== 0) throw new Error(resumed.output)
    const note = /(\d+) keys were right at the target already, (\d+) were written/.exec(resumed.output)?.[0] ?? ''
    const differences = await countDifferences(source.url, target.url)
    return [
      { what: `snapshot of ${keys} keys, whole`, value: `${(whole.wallMs / 1000).toFixed(2)} s` },
      {
        what: `the same, killed with ${there} keys at the target, then resumed`,
        value: `${(resumed.wallMs / 1000).toFixed(2)} s: ${note}; ${differences} differences`,
      },
      { what: 'the same again over a full target, as a new migration', value: `${(equal.wallMs / 1000).toFixed(2)} s` },
    ]
  } finally {
    await source.stop()
    await target.stop()
  }
}
