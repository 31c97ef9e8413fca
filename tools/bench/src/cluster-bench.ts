import { mkdtempSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { parseEndpoint, slotTag } from '@ferrite-migrate/redis'
import { TestServer } from '@ferrite-migrate/servers'
import { BenchCluster, urlOf } from './bench-cluster.js'
import { fill, mixedKey } from './dataset.js'
import { emptyServer } from './empty-server.js'
import { Heartbeat } from './heartbeat.js'
import { type Measured, median, percentile } from './measure.js'
import { shakeOverClusters } from './peers.js'
import { Random } from './random.js'
import type { SlotWriter } from './slot-writer.js'
import { cutOver, LiveTool, measureTool, runTool } from './tool.js'
import { mixedWrite } from './writer.js'

export interface ClusterRow {
  readonly what: string
  readonly value: string
}

/** Parts under way at once. */
const UNDER_WAY = 8
const RATE = 10_000
const FREED_MS = 2500

async function fillCluster(cluster: BenchCluster, keys: number): Promise<void> {
  const random = new Random(42)
  const out = cluster.writer()
  for (let from = 0; from < keys; from += 2000) {
    for (let i = from; i < Math.min(keys, from + 2000); i++) mixedKey(random, out, i)
    await cluster.send(out.takeAll())
  }
}

/** The number of differences is not asked for: none, or the bench ends. */
async function mustBeEqual(source: string, target: string): Promise<Measured> {
  const verified = await measureTool(['verify', '-s', source, '-t', target])
  if (verified.code !== 0) throw new Error(`the ends differ: ${verified.output}`)
  return verified
}

const seconds = (ms: number): string => (ms / 1000).toFixed(2)
const each = (values: readonly number[]): string =>
  values.length === 1 ? '' : ` (${seconds(Math.min(...values))} to ${seconds(Math.max(...values))})`

/** The same keys from three primaries to three, and from one server to one, in turn; both are verified. */
export async function benchClusterSnapshot(keys: number, rounds: number): Promise<ClusterRow[]> {
  const [source, target] = [await BenchCluster.start(), await BenchCluster.start()]
  const [single, other] = [await TestServer.start(), await TestServer.start()]
  const ofClusters: Measured[] = []
  const ofServers: Measured[] = []
  let verified: Measured
  let verifiedSingle: Measured
  let ofShake: Measured | null = null
  try {
    await fillCluster(source, keys)
    await fill(parseEndpoint(single.url), 'mixed', keys)
    for (let round = 0; round < rounds; round++) {
      await target.empty()
      await emptyServer(other.url)
      await sleep(FREED_MS)
      const clusters = async (): Promise<void> => {
        ofClusters.push(await runTool(['-s', source.url, '-t', target.url, '-m', 'snapshot']))
      }
      const servers = async (): Promise<void> => {
        ofServers.push(await runTool(['-s', single.url, '-t', other.url, '-m', 'snapshot']))
      }
      for (const run of round % 2 === 0 ? [clusters, servers] : [servers, clusters]) await run()
      for (const { code, output } of [ofClusters.at(-1)!, ofServers.at(-1)!])
        if (code !== 0) throw new Error(`ferrite-migrate failed: ${output}`)
    }
    verified = await mustBeEqual(source.url, target.url)
    const shake = shakeOverClusters()
    if (shake !== null) {
      await target.empty()
      ofShake = await shake(source.url, target.url)
      await mustBeEqual(source.url, target.url)
    }
    verifiedSingle = await mustBeEqual(single.url, other.url)
  } finally {
    for (const end of [source, target, single, other]) await end.stop()
  }
  const [three, one] = [ofClusters.map(({ wallMs }) => wallMs), ofServers.map(({ wallMs }) => wallMs)]
  const name = `${keys.toLocaleString('en-US')} mixed keys`
  return [
    ...(ofShake === null
      ? []
      : [
          {
            what: `${name}, 3 primaries to 3, by RedisShake's cluster reader and writer`,
            value: `${seconds(ofShake.wallMs)} s, ${(ofShake.wallMs / median(three)).toFixed(1)} of ours, CPU ${seconds(ofShake.cpuMs)} s, ${ofShake.rssMb.toFixed(0)} MB`,
          },
        ]),
    {
      what: `${name}, 3 primaries to 3`,
      value: `${seconds(median(three))} s${each(three)}, ${(median(three) / median(one)).toFixed(2)} of one server to one (${seconds(median(one))} s${each(one)}), CPU ${seconds(median(ofClusters.map(({ cpuMs }) => cpuMs)))} s against ${seconds(median(ofServers.map(({ cpuMs }) => cpuMs)))} s, ${Math.max(...ofClusters.map(({ rssMb }) => rssMb)).toFixed(0)} MB against ${Math.max(...ofServers.map(({ rssMb }) => rssMb)).toFixed(0)} MB`,
    },
    {
      what: `verify of ${name}, 3 primaries and 3`,
      value: `${seconds(verified.wallMs)} s, ${(verified.wallMs / verifiedSingle.wallMs).toFixed(2)} of one server and one`,
    },
  ]
}

/** Writes mixed commands to all primaries, as fast as they take them (0) or at a rate; gives the time that it took, ms. */
async function writeMixed(cluster: BenchCluster, writes: number, perSecond: number): Promise<number> {
  const random = new Random(99)
  const step = perSecond === 0 ? 1500 : Math.max(3, Math.round(perSecond / 500))
  const out = cluster.writer()
  const parts: { readonly count: number; readonly data: ReturnType<SlotWriter['takeAll']> }[] = []
  for (let from = 0; from < writes; from += step) {
    const count = Math.min(step, writes - from)
    for (let i = from; i < from + count; i++) mixedWrite(random, out, i)
    parts.push({ count, data: out.takeAll() })
  }
  const startedAt = performance.now()
  let written = 0
  let underWay = 0
  for (const { count, data } of parts) {
    while (perSecond > 0 && written > ((performance.now() - startedAt) / 1000) * perSecond) await sleep(1)
    while (underWay > UNDER_WAY) await sleep(0)
    underWay++
    void cluster.send(data).then(() => underWay--)
    written += count
  }
  while (underWay > 0) await sleep(1)
  return startedAt
}

/** Marks each primary, and waits until the target has all marks. */
async function caughtUp(source: BenchCluster, target: BenchCluster, mark: string): Promise<void> {
  for (const node of source.nodes.keys()) {
    const [{ first }] = await source.cluster.slotsOf(source.nodes[node])
    const key = `{${slotTag(first)}}end`
    await source.call('SET', key, mark)
    for (let i = 0; String(await target.call('GET', key)) !== mark; i++) {
      if (i > 12_000) throw new Error('the target never caught up')
      await sleep(2)
    }
  }
}

/** A live migration of three primaries to three under writers; both ends are compared afterwards. */
export async function benchClusterLive(keys: number, rounds: number): Promise<ClusterRow[]> {
  const loads = [
    { what: 'live, L1 10,000/s', writes: 100_000, perSecond: RATE },
    { what: 'live, 250,000/s', writes: 1_000_000, perSecond: 250_000 },
    { what: 'live, L2 unpaced', writes: 2_000_000, perSecond: 0 },
  ]
  const rows: ClusterRow[] = []
  for (const { what, writes, perSecond } of loads) {
    const rates: number[] = []
    const p50: number[] = []
    const p99: number[] = []
    const cpu: number[] = []
    let rss = 0
    for (let round = 0; round < rounds; round++) {
      const [source, target] = [await BenchCluster.start(), await BenchCluster.start()]
      try {
        await fillCluster(source, keys)
        const tool = await LiveTool.start(source.url, target.url)
        await sleep(500)
        const before = tool.use.cpuMs
        const slot = 0
        const tag = `{${slotTag(slot)}}`
        const heartbeat = Heartbeat.start(urlOf(source.nodeOf(slot)), urlOf(target.nodeOf(slot)), tag)
        const startedAt = await writeMixed(source, writes, perSecond)
        await caughtUp(source, target, `${round}`)
        rates.push((writes / (performance.now() - startedAt)) * 1000)
        const lags = await heartbeat.stop()
        p50.push(percentile(lags, 0.5))
        p99.push(percentile(lags, 0.99))
        const { cpuMs, rssMb } = tool.use
        cpu.push(cpuMs - before)
        rss = Math.max(rss, rssMb)
        await tool.stop()
        await mustBeEqual(source.url, target.url)
      } finally {
        await source.stop()
        await target.stop()
      }
    }
    rows.push({
      what: `${what}, 3 primaries to 3`,
      value: `${Math.round(median(rates)).toLocaleString('en-US')} writes/s applied, lag p50 ${median(p50).toFixed(1)} ms, p99 ${median(p99).toFixed(1)} ms, CPU ${seconds(median(cpu))} s, ${rss.toFixed(0)} MB`,
    })
  }
  return rows
}

/** How long writers of all primaries are kept out. */
export async function benchClusterCutover(keys: number, rounds: number): Promise<ClusterRow[]> {
  const said: number[] = []
  for (let round = 0; round < rounds; round++) {
    const [source, target] = [await BenchCluster.start(), await BenchCluster.start()]
    try {
      await fillCluster(source, keys)
      const state = mkdtempSync(join(tmpdir(), 'fm-bench-'))
      const tool = await LiveTool.start(source.url, target.url, ['--id', 'bench', '--state-dir', state])
      const writing = writeMixed(source, RATE * 5, RATE)
      await sleep(2000)
      said.push(await cutOver(state))
      await writing
      await tool.stop()
    } finally {
      await source.stop()
      await target.stop()
    }
  }
  return [
    {
      what: 'cutover of 3 primaries to 3 at 10,000 writes/s',
      value: `writers kept out for ${median(said)} ms (${Math.min(...said)} to ${Math.max(...said)})`,
    },
  ]
}

/**
 * One slot goes to another primary of the source: from when all nodes know until the target has what was written there then; and the
 * longest that a key of another slot is behind meanwhile.
 */
export async function benchHandover(keys: number, rounds: number): Promise<ClusterRow[]> {
  const slot = 100
  const tag = `{${slotTag(slot)}}`
  const [source, target] = [await BenchCluster.start(), await BenchCluster.start()]
  const took: number[] = []
  let behind = 0
  try {
    const [from, to] = [source.nodes[0], source.nodes[1]]
    for (let i = 0; i < keys; i += 1000)
      await from.pipeline((out) => {
        const count = Math.min(1000, keys - i)
        for (let n = i; n < i + count; n++) out.call('SET', `${tag}${n}`, `value ${n}`)
        return count
      })
    const tool = await LiveTool.start(source.url, target.url)
    // Writes that never rest, as in production: an idle stream tells of itself only now and then.
    const busy = { going: true }
    const ranges = await Promise.all(source.nodes.map((node) => source.cluster.slotsOf(node)))
    const writing = (async () => {
      for (let n = 0; busy.going; n++) {
        for (const [i, node] of source.nodes.entries())
          await node.command('SET', `{${slotTag(ranges[i][0].last)}}busy`, `${n}`)
        await sleep(1)
      }
    })()
    const other = 16_000
    const heartbeat = Heartbeat.start(urlOf(source.nodeOf(other)), urlOf(target.nodeOf(other)), `{${slotTag(other)}}`)
    for (let round = 0; round < rounds; round++) {
      const [giver, receiver] = round % 2 === 0 ? [from, to] : [to, from]
      await source.cluster.reshardSlot(slot, giver, receiver)
      const key = `${tag}mark`
      await receiver.command('SET', key, `${round}`)
      const startedAt = performance.now()
      while (String(await target.call('GET', key)) !== `${round}`) await sleep(1)
      took.push(performance.now() - startedAt)
      await sleep(500)
    }
    busy.going = false
    await writing
    behind = Math.max(...(await heartbeat.stop()))
    await tool.stop()
    await mustBeEqual(source.url, target.url)
  } finally {
    await source.stop()
    await target.stop()
  }
  return [
    {
      what: `a slot of ${keys.toLocaleString('en-US')} keys handed over`,
      value: `${median(took).toFixed(0)} ms (${Math.min(...took).toFixed(0)} to ${Math.max(...took).toFixed(0)}); a key of another slot ${behind.toFixed(0)} ms behind at most`,
    },
  ]
}
