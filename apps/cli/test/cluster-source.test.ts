import { setTimeout as sleep } from 'node:timers/promises'
import {
  type ClusterNode,
  ClusterWriter,
  keyspaceDifferences,
  Random,
  RedisCluster,
  type ServerVersion,
  until,
} from '@ferrite-migrate/servers'
import type { Migration } from 'ferrite-migrate'
import { describe, expect, it } from 'vitest'
import { migration, stateDir } from './run.js'
import { start, stops } from './servers.js'
import { Tool } from './tool.js'

async function startCluster(version?: ServerVersion, primaries = 3): Promise<RedisCluster> {
  const cluster = await RedisCluster.start({
    ...(version === undefined ? {} : { version }),
    primaries,
    args: ['--repl-backlog-size', '64mb', '--repl-diskless-sync-delay', '0'],
  })
  stops.push(() => cluster.stop())
  return cluster
}

async function isLive(run: Migration): Promise<void> {
  await until(async () => {
    const { phase, state, error } = run.status()
    if (state !== 'RUNNING') throw new Error(`${state}: ${JSON.stringify(error)}`)
    return phase === 'LIVE_SYNC'
  }, 'live')
}

/** Waits until nothing is behind, twice in a row. */
async function settled(run: Migration): Promise<void> {
  let calm = 0
  await until(async () => {
    const { lagKeys, lagBytes, state, error } = run.status()
    if (state !== 'RUNNING') throw new Error(`${state}: ${JSON.stringify(error)}`)
    calm = lagKeys === 0 && lagBytes === 0 ? calm + 1 : 0
    await sleep(300)
    return calm > 8
  }, 'nothing behind')
}

/** What two ends differ in, to read. */
async function between(first: { url: string }, second: { url: string }): Promise<string[]> {
  const leaveOut = (name: string): boolean => name.startsWith('__')
  const found = await keyspaceDifferences(first.url, second.url, { leaveOut })
  return found.map(({ key, what, first: a, second: b }) => `${key.toString('latin1')}: ${what}: ${a} | ${b}`)
}

/** Two different primaries. */
async function twoOf(cluster: RedisCluster, random: Random): Promise<[ClusterNode, ClusterNode]> {
  const primaries = await cluster.primaries()
  const from = primaries[random.below(primaries.length)]
  const others = primaries.filter((node) => node !== from)
  return [from, others[random.below(others.length)]]
}

describe('a cluster as a source', () => {
  it('is copied whole', async () => {
    const cluster = await startCluster()
    const target = await start()
    const writer = await ClusterWriter.start(cluster.url)
    await until(async () => writer.log.count('acknowledged') > 2000, 'some writes')
    await writer.stop()
    const run = migration({ source: cluster.url, target: target.url, mode: 'snapshot', verify: true })
    const report = await run.start()
    expect(report.verification).toMatchObject({ equal: true })
    expect(await between(cluster, target)).toEqual([])
  })

  it('is followed under a writer while slots move', async () => {
    const cluster = await startCluster(process.env.FM_V as ServerVersion | undefined)
    const target = await start()
    const writer = await ClusterWriter.start(cluster.url, { perSecond: 3000 })
    const run = migration({ source: cluster.url, target: target.url })
    run.on('note', (n) => process.env.FM_D && console.log(n))
    const over = run.start()
    over.catch((e) => console.log(e))
    await isLive(run)
    const random = new Random(7)
    for (let move = 0; move < 8; move++) {
      const [from, to] = await twoOf(cluster, random)
      const ranges = await cluster.slotsOf(from)
      const first = ranges[0].first
      const slots = Array.from({ length: Math.min(200, ranges[0].last - first + 1) }, (_, i) => first + i)
      await cluster.reshardSlots(slots, from, to)
      await sleep(random.below(500))
    }
    await writer.stop()
    await settled(run)
    expect(await between(cluster, target)).toEqual([])
    run.stop()
    await over
  })

  it('is followed while primaries fail and the tool is killed', async () => {
    const cluster = await startCluster(process.env.FM_V as ServerVersion | undefined)
    const target = await start()
    const state = stateDir()
    const args = [
      'migrate',
      '-s',
      cluster.url,
      '-t',
      target.url,
      '--mode',
      'live',
      '--id',
      'faults',
      '--state-dir',
      state,
    ]
    const writer = await ClusterWriter.start(cluster.url, { perSecond: 2000 })
    let tool = new Tool(args)
    stops.push(() => tool.kill())
    await tool.says('LIVE_SYNC')
    const random = new Random(Number(process.env.FM_SEED ?? 3))
    const kinds = (process.env.FM_KINDS ?? 'move failover kill tool move tool').split(' ')
    for (const kind of kinds) {
      if (kind === 'move') {
        const [from, to] = await twoOf(cluster, random)
        const [{ first, last }] = await cluster.slotsOf(from)
        const slots = Array.from({ length: Math.min(100, last - first + 1) }, (_, i) => first + i)
        await cluster.reshardSlots(slots, from, to)
      } else if (kind === 'tool') {
        await tool.kill()
        tool = new Tool(['migrate', '--resume', 'faults', '--state-dir', state, '-v', '--log-file', '/tmp/cs-tool.log'])
      } else {
        const [node] = await twoOf(cluster, random)
        const [replica] = await cluster.replicasOf(node)
        if (kind === 'failover') await cluster.failover(replica)
        else {
          await cluster.kill(node)
          await cluster.waitUntilOk()
          await cluster.restart(node)
          await cluster.waitUntilOk()
        }
      }
      console.log(new Date().toISOString(), kind)
      await sleep(random.below(800))
    }
    await writer.stop()
    await tool.says(/LIVE_SYNC/)
    await until(async () => (await between(cluster, target)).length === 0, 'equality').catch(async () => {
      console.log(tool.output.slice(-3000))
      expect(await between(cluster, target)).toEqual([])
    })
    tool.child.kill('SIGINT')
    expect(await tool.over).toBe(130)
  })
})
