import { type ChildProcess, spawn } from 'node:child_process'
import { mkdtempSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { parseEndpoint, RedisLink } from '@ferrite-migrate/redis'
import { RedisCluster, TestNode, TestServer } from '@ferrite-migrate/servers'
import { fill } from './dataset.js'
import type { LifecycleRow } from './lifecycle-bench.js'
import { benchWrites, type LiveRow } from './live-bench.js'
import { median, percentile, processUse } from './measure.js'
import { BIN, LiveTool } from './tool.js'

const WORKER_PROCESSES = 25
const WATCHED_MS = 60_000
const KILLS = 10
/** As servers have it: so many of them on few cores answer each other late. */
const NODE_TIMEOUT_MS = 15_000
const LIVE_WITHIN_MS = 600_000

async function startQueue(): Promise<TestNode> {
  return TestNode.start({ version: '7.0', persistent: true, password: undefined, args: [] })
}

function startWorker(queue: string, concurrency: number): ChildProcess {
  const state = mkdtempSync(join(tmpdir(), 'fm-bench-'))
  const args = ['worker', '--queue', queue, '--concurrency', `${concurrency}`, '--state-dir', state]
  return spawn(process.execPath, [BIN, ...args], { stdio: 'ignore' })
}

async function ended(child: ChildProcess): Promise<void> {
  const gone = new Promise((resolve) => child.once('exit', resolve))
  child.kill('SIGTERM')
  const timer = setTimeout(() => child.kill('SIGKILL'), 30_000)
  await gone
  clearTimeout(timer)
}

/** L2 in one process, and by one worker of a queue, in turn. */
export async function benchQueueLive(rounds: number): Promise<LiveRow[]> {
  const node = await startQueue()
  const queue = `redis://127.0.0.1:${node.port}`
  const worker = startWorker(queue, 1)
  const rows: LiveRow[] = []
  try {
    for (let round = 0; round < rounds * 2; round++) {
      const byQueue = (round + (round >> 1)) % 2 === 1
      const source = await TestServer.start()
      const target = await TestServer.start()
      try {
        await fill(parseEndpoint(source.url), 'mixed', 100_000)
        const tool = await LiveTool.start(source.url, target.url, byQueue ? ['--queue', queue] : [])
        const name = byQueue ? 'by a queue' : 'in one process'
        const load = { writes: 1_000_000, perSecond: 0, transactions: false }
        const follower = { name, use: () => ({ cpuMs: 0, rssMb: 0 }), stop: () => tool.stop() }
        rows.push(await benchWrites('L2 unpaced', follower, source, target, load))
        await tool.stop()
      } finally {
        await source.stop()
        await target.stop()
      }
    }
  } finally {
    await ended(worker)
    await node.stop()
  }
  return ['in one process', 'by a queue'].map((name) => {
    const own = rows.filter(({ tool }) => tool === name)
    const of = (pick: (row: LiveRow) => number) => median(own.map(pick))
    return {
      ...own[0],
      appliedPerSecond: of((row) => row.appliedPerSecond),
      lagP50: of((row) => row.lagP50),
      lagP99: of((row) => row.lagP99),
      differences: Math.max(...own.map(({ differences }) => differences ?? 0)),
    }
  })
}

/** A cluster of many small shards into one server: what following them takes, and how long a shard is without a worker that is killed. */
export async function benchManyShards(shards: number): Promise<LifecycleRow[]> {
  const node = await startQueue()
  const queue = `redis://127.0.0.1:${node.port}`
  const source = await RedisCluster.start({ primaries: shards, replicas: 0, nodeTimeoutMs: NODE_TIMEOUT_MS })
  const target = await TestServer.start()
  const count = Math.ceil(shards / WORKER_PROCESSES)
  const workers = Array.from({ length: count }, () => startWorker(queue, WORKER_PROCESSES))
  const link = await RedisLink.open(parseEndpoint(queue))
  const read = async (key: string): Promise<string[]> =>
    ((await link.call('HVALS', `{ferrite-migrate}:run:many:${key}`)) as Buffer[]).map(String)
  const state = mkdtempSync(join(tmpdir(), 'fm-bench-'))
  const begunAt = performance.now()
  const args = ['migrate', '-s', source.url, '-t', target.url, '--queue', queue, '--id', 'many', '--state-dir', state]
  const tool = spawn(process.execPath, [BIN, ...args], { stdio: 'ignore' })
  try {
    const live = async (): Promise<number> => (await read('state')).filter((text) => text.includes('LIVE_SYNC')).length
    while ((await live()) < shards) {
      if (performance.now() - begunAt > LIVE_WITHIN_MS) throw new Error(`${await live()} of ${shards} shards are live`)
      await sleep(200)
    }
    const liveS = (performance.now() - begunAt) / 1000
    // What starts has started.
    await sleep(10_000)
    const before = processUse(tool.pid ?? 0)
    const queueBefore = processUse(node.server.pid ?? 0)
    await sleep(WATCHED_MS)
    const after = processUse(tool.pid ?? 0)
    const share = (from: number, to: number): string => (((to - from) / WATCHED_MS) * 100).toFixed(1)
    const memory = /used_memory:(\d+)/.exec(String(await link.call('INFO', 'memory')))?.[1]
    const rows: LifecycleRow[] = [
      { what: `${shards} shards: from the start until all are live`, value: `${liveS.toFixed(0)} s` },
      {
        what: `${shards} shards: the process that follows them`,
        value: `${share(before.cpuMs, after.cpuMs)}% of a core, ${after.rssMb.toFixed(0)} MB`,
      },
      {
        what: `${shards} shards: the queue's server`,
        value: `${share(queueBefore.cpuMs, processUse(node.server.pid ?? 0).cpuMs)}% of a core, ${(Number(memory) / 2 ** 20).toFixed(1)} MB`,
      },
    ]
    const gaps: number[] = []
    for (let i = 0; i < KILLS; i++) gaps.push(await killedOne(read))
    rows.push({
      what: `${shards} shards: kill -9 of a worker until another one is live with its shard, ${KILLS} times`,
      value: `median ${(median(gaps) / 1000).toFixed(1)} s, longest ${(percentile(gaps, 1) / 1000).toFixed(1)} s`,
    })
    return rows
  } finally {
    link.close()
    await ended(tool)
    await Promise.all(workers.map(ended))
    await Promise.all([source.stop(), target.stop(), node.stop()])
  }
}

/** Kills the worker of some shard; gives how long it takes until it has one of a higher epoch, ms. */
async function killedOne(read: (key: string) => Promise<string[]>): Promise<number> {
  const holders = async () => (await read('holders')).map((text) => JSON.parse(text) as { pid: number; epoch: number })
  const all = await holders()
  const victim = all[Math.floor(Math.random() * all.length)]
  const most = Math.max(...all.map(({ epoch }) => epoch))
  const at = performance.now()
  process.kill(victim.pid, 'SIGKILL')
  while (!(await holders()).some(({ epoch }) => epoch > most)) await sleep(20)
  return performance.now() - at
}
