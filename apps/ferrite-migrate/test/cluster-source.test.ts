import { setTimeout as sleep } from 'node:timers/promises'
import { keySlot } from '@ferrite-migrate/protocol'
import { type ClusterNode, ClusterWriter, Random, type ServerVersion, until } from '@ferrite-migrate/servers'
import { describe, expect, it } from 'vitest'
import { between, equal, failOver, isLive, killPrimary, moveSlots, settled, startCluster, twoOf } from './clusters.js'
import { command, migration, stateDir } from './run.js'
import { start, stops } from './servers.js'
import { cli, Tool } from './tool.js'

/** `npm run test:faults` has more faults after the first of each kind, with every version. */
const LONG = process.env.FERRITE_MIGRATE_KILLS !== undefined
const MORE = LONG ? 40 : 0
const VERSIONS: readonly (ServerVersion | undefined)[] = LONG ? ['7.0', '8.2', '8.6', 'valkey-9.1'] : [undefined]

describe('a cluster as a source', () => {
  it('is copied whole, also by way of one node', async () => {
    const cluster = await startCluster()
    const writer = await ClusterWriter.start(cluster.url)
    await until(async () => writer.log.count('acknowledged') > 2000, 'some writes')
    await writer.stop()
    for (const source of [cluster.url, `redis://127.0.0.1:${cluster.nodes[4].port}`]) {
      const target = await start()
      const report = await migration({ source, target: target.url, mode: 'snapshot', verify: true }).start()
      expect(report.verification).toMatchObject({ equal: true })
      expect(await between(cluster, target)).toEqual([])
    }
  })

  it('is followed under a writer while slots move, a node joins and one leaves', async () => {
    const cluster = await startCluster()
    const target = await start()
    const writer = await ClusterWriter.start(cluster.url, { perSecond: 2000 })
    const run = migration({ source: cluster.url, target: target.url })
    const over = run.start()
    await isLive(run)
    const random = new Random(7)
    for (let move = 0; move < 4; move++) {
      await moveSlots(cluster, random, 150)
      await sleep(random.below(300))
    }
    const joined = await cluster.addNode()
    const [from] = await twoOf(cluster, random)
    const [{ first }] = await cluster.slotsOf(from)
    await cluster.reshardSlots(
      Array.from({ length: 100 }, (_, i) => first + i),
      from,
      joined,
    )
    await until(async () => run.report().notes.some(({ text }) => text.includes('a new shard')), 'a new shard')
    await cluster.removeNode(joined)
    await until(async () => run.report().notes.some(({ text }) => text.includes('no shard')), 'a shard less')
    await writer.stop()
    await settled(run)
    expect(await between(cluster, target)).toEqual([])
    run.stop()
    await over
  })

  it.each(['7.0', 'valkey-9.1'] as const)('is read from replicas where they are preferred (%s)', async (version) => {
    const cluster = await startCluster(version)
    const target = await start()
    const writer = await ClusterWriter.start(cluster.url, { perSecond: 1500 })
    const run = migration({ source: cluster.url, target: target.url, sourceOptions: { prefer: 'replica' } })
    const over = run.start()
    await isLive(run)
    const readers = async (node: ClusterNode): Promise<number> =>
      Number(/connected_slaves:(\d+)/.exec(String(await node.command('INFO', 'replication')))?.[1])
    for (const primary of await cluster.primaries()) {
      // Its own replica, and not the tool.
      expect(await readers(primary)).toBe(1)
      const [replica] = await cluster.replicasOf(primary)
      expect(await readers(replica)).toBe(1)
    }
    const random = new Random(9)
    await moveSlots(cluster, random, 150)
    await failOver(cluster, random)
    const [primary] = await cluster.primaries()
    const [replica] = await cluster.replicasOf(primary)
    await cluster.kill(replica)
    // Nobody is left but the primary.
    await until(async () => (await readers(primary)) === 1, 'the link of the tool')
    await moveSlots(cluster, random, 150)
    await cluster.restart(replica)
    await cluster.waitUntilOk()
    await killPrimary(cluster, random)
    await writer.stop()
    await settled(run)
    expect(await between(cluster, target)).toEqual([])
    const cutover = await run.cutover({ verify: true })
    expect(cutover).toMatchObject({ verification: { equal: true } })
    expect((await over).status.state).toBe('COMPLETED')
  })

  it('that is emptied in one of its nodes empties only what is of that node', async () => {
    const cluster = await startCluster()
    const target = await start()
    const writer = await ClusterWriter.start(cluster.url)
    await until(async () => writer.log.count('acknowledged') > 2000, 'some writes')
    await writer.stop()
    const run = migration({ source: cluster.url, target: target.url })
    const over = run.start()
    await isLive(run)
    const [node] = await cluster.primaries()
    await cluster.command(node, 'FLUSHALL')
    await settled(run)
    expect(Number(await command(target.url, 'DBSIZE'))).toBeGreaterThan(100)
    expect(await between(cluster, target)).toEqual([])
    const cutover = await run.cutover({ verify: true })
    expect(cutover).toMatchObject({ verification: { equal: true } })
    expect((await over).status.state).toBe('COMPLETED')
  })

  it.each(VERSIONS)(
    'is followed while slots move, primaries fail and the tool is killed, into a cluster where the same happens (%s)',
    async (version) => {
      const [cluster, target] = await Promise.all([startCluster(version), startCluster(version)])
      const state = stateDir()
      const args = ['migrate', '-s', cluster.url, '-t', target.url, '--mode', 'live', '--id', 'faults']
      const writer = await ClusterWriter.start(cluster.url, { perSecond: 1500 })
      let tool = new Tool([...args, '--state-dir', state])
      stops.push(() => tool.kill())
      await tool.says('LIVE_SYNC')
      // A primary that was lost may have had the note that the former process ended: its time has to pass then.
      const resume = () =>
        until(async () => {
          tool = new Tool(['migrate', '--resume', 'faults', '--state-dir', state])
          await until(() => /LIVE_SYNC|INITIAL_SYNC/.test(tool.output) || tool.child.exitCode !== null, 'a beginning')
          if (tool.child.exitCode !== null && !tool.output.includes('FM_ID_TAKEN')) throw new Error(tool.output)
          return tool.child.exitCode === null
        }, 'a process that goes on')
      const random = new Random(3)
      const steps: (() => Promise<void>)[] = [
        () => moveSlots(cluster, random, 100),
        () => failOver(cluster, random),
        () => moveSlots(target, random, 100),
        async () => {
          await tool.kill()
          await resume()
        },
        () => killPrimary(cluster, random),
        () => killPrimary(target, random),
        () => moveSlots(cluster, random, 100),
      ]
      for (const step of steps) {
        await step()
        await sleep(random.below(800))
      }
      for (let more = 0; more < MORE; more++) {
        await steps[random.below(steps.length)]()
        await sleep(random.below(800))
      }
      await writer.stop()
      await tool.says('LIVE_SYNC')
      let left: string[] = []
      await until(async () => {
        // What ended tells why, and is not waited for.
        if (tool.child.exitCode !== null) throw new Error(tool.output)
        left = await between(cluster, target)
        return left.length === 0
      }, 'equality').catch((error: Error) => left.push(error.message.slice(-2000)))
      expect(left).toEqual([])
      tool.child.kill('SIGINT')
      expect(await tool.over).toBe(130)
    },
    900_000,
  )
})

describe('a cluster whose keys are everywhere', () => {
  it('keeps each of them when the tool is killed while many slots move, and goes on afterwards', async () => {
    const cluster = await startCluster('7.0', { replicas: 0 })
    const target = await start()
    const routes = new Map<number, ClusterNode>()
    for (const node of await cluster.primaries())
      for (const { first, last } of await cluster.slotsOf(node))
        for (let slot = first; slot <= last; slot++) routes.set(slot, node)
    const keys = Array.from({ length: 20_000 }, (_, i) => `key:${i}`)
    for (let i = 0; i < keys.length; i += 1000)
      await Promise.all(
        keys.slice(i, i + 1000).map((key) => routes.get(keySlot(Buffer.from(key)))!.command('SET', key, key)),
      )
    const state = stateDir()
    const names = ['-s', cluster.url, '-t', target.url, '--mode', 'live', '--id', 'keys']
    let tool = new Tool(['migrate', ...names, '--state-dir', state])
    stops.push(() => tool.kill())
    await tool.says('LIVE_SYNC')
    const writer = await ClusterWriter.start(cluster.url, { perSecond: 600, tags: 400 })
    const random = new Random(11)
    for (let round = 0; round < (LONG ? 40 : 3); round++) {
      const [from, to] = await twoOf(cluster, random)
      const ranges = await cluster.slotsOf(from)
      const slots = ranges.flatMap(({ first, last }) => Array.from({ length: last - first + 1 }, (_, i) => first + i))
      const moving = cluster.reshardSlots(slots.slice(0, 200 + random.below(800)), from, to)
      await sleep(random.below(1000))
      await tool.kill()
      await moving
      tool = new Tool(['migrate', '--resume', 'keys', '--state-dir', state])
      await tool.says('LIVE_SYNC')
    }
    await writer.stop()
    await equal(cluster, target)
    tool.child.kill('SIGINT')
    expect(await tool.over).toBe(130)
  }, 900_000)
})

describe('a cluster that cannot be read', () => {
  it('is told in one line, with the right exit code', async () => {
    const cluster = await startCluster()
    const single = await start()
    const [a, b] = await cluster.primaries()
    const run = (source: string, ...more: string[]) =>
      cli(['migrate', '-s', source, '-t', single.url, '--mode', 'snapshot', '--state-dir', stateDir(), ...more])
    const bad = async (code: number, text: RegExp, source: string, ...more: string[]): Promise<void> => {
      const { code: exit, output } = await run(source, ...more)
      expect(output).toMatch(text)
      expect(exit).toBe(code)
    }
    await bad(1, /FM_CLUSTER_NONE/, single.url.replace('redis:', 'redis-cluster:'))
    await bad(1, /FM_CONNECT_REFUSED/, 'redis-cluster://127.0.0.1:1')
    await bad(2, /FM_URL_INVALID/, 'redis-cluster://127.0.0.1:1,/')
    await bad(1, /FM_CONNECT_TLS.*answers without TLS/s, cluster.url.replace('redis-', 'rediss-'))
    const refused = await run(cluster.url.replace('://', '://:secret@'))
    expect(refused.output).toMatch(/^(?!.*(WARN|secret)).*FM_AUTH_REFUSED/s)
    await bad(2, /database 0/, `${cluster.url}/3`)
    await bad(2, /FM_OPTION_VALUE.*node-map/s, cluster.url, '--source-option', 'node-map=x')
    const announced = async (port: number): Promise<void> => {
      await cluster.command(a, 'CONFIG', 'SET', 'cluster-announce-port', port)
      const place = `127.0.0.1:${port === 0 ? a.port : port}@`
      const views = () => Promise.all(cluster.nodes.map((node) => cluster.command(node, 'CLUSTER', 'NODES')))
      await until(async () => (await views()).every((view) => String(view).includes(place)), 'the news everywhere')
    }
    await announced(1)
    await bad(1, /FM_CLUSTER_NODE.*announces 127.0.0.1:1 .*node-map=127.0.0.1:1=HOST:PORT/s, cluster.url)
    const mapped = ['--source-option', `node-map=127.0.0.1:1=127.0.0.1:${a.port}`]
    expect((await run(cluster.url, ...mapped)).code).toBe(0)
    const wrong = ['--source-option', 'node-map=127.0.0.1:1=127.0.0.1:2']
    await bad(
      1,
      /FM_CLUSTER_NODE.*where node-map says.*Correct --source-option node-map=127.0.0.1:1=/s,
      cluster.url,
      ...wrong,
    )
    const sibling = ['--source-option', `node-map=127.0.0.1:1=127.0.0.1:${b.port}`]
    await bad(
      1,
      /FM_CLUSTER_NODE.*another node.*Correct --source-option node-map=127.0.0.1:1=/s,
      cluster.url,
      ...sibling,
    )
    await announced(0)
    await cluster.command(b, 'CLUSTER', 'DELSLOTS', (await cluster.slotsOf(b))[0].first)
    await bad(1, /FM_CLUSTER_DOWN.*(no owner|state fail)/s, cluster.url)
  })
})
