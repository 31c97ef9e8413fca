import { parseEndpoint } from '@ferrite-migrate/redis'
import { keyspaceDifferences, RedisCluster, slotsOf } from '@ferrite-migrate/servers'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { command, migration, stateDir } from './run.js'
import { start } from './servers.js'
import { cli } from './tool.js'
import { runWorkload } from './workload.js'

const ofTool = (name: string): boolean => name.startsWith('__ferrite_migrate__:')

describe('a cluster as a target', () => {
  let cluster: RedisCluster

  beforeAll(async () => {
    cluster = await RedisCluster.start({ replicas: 0 })
  })
  afterAll(() => cluster.stop())

  async function empty(): Promise<void> {
    for (const node of await cluster.primaries()) await node.command('FLUSHALL')
  }

  it('is named by one of its nodes as well', async () => {
    await empty()
    const source = await start()
    await command(source.url, 'SET', 'a', '1')
    const [{ port }] = cluster.nodes
    const report = await migration({
      source: source.url,
      target: `redis://127.0.0.1:${port}`,
      mode: 'snapshot',
      verify: true,
    }).start()
    expect(report.verification).toMatchObject({ equal: true })
    expect(await keyspaceDifferences(source.url, cluster.url, { leaveOut: ofTool })).toEqual([])
  })

  it('gets several databases only where it is said how, and the refusal counts their keys', async () => {
    await empty()
    const source = await start()
    await command(source.url, 'SET', 'a', '1')
    const { port } = new URL(source.url)
    await command(`redis://127.0.0.1:${port}/4`, 'MSET', 'b', '1', 'c', '2')
    const target = cluster.url
    const refused = migration({ source: source.url, target, mode: 'snapshot' }).start()
    await expect(refused).rejects.toMatchObject({
      code: 'FM_PREFLIGHT_REFUSED',
      message: expect.stringMatching(/2 keys of database 4\).* --db-map 4:0/),
    })
    await migration({ source: source.url, target, mode: 'snapshot', dbMap: { 4: 0 } }).start()
    const keys = await Promise.all((await cluster.primaries()).map((node) => node.command('KEYS', '[abc]')))
    expect(keys.flat().map(String).sort()).toEqual(['a', 'b', 'c'])
  })

  it('is given back what it held', async () => {
    await empty()
    const source = await start({ args: ['--databases', '1'] })
    const before = await start({ args: ['--databases', '1'] })
    await runWorkload(parseEndpoint(before.url), 0.5, 3, [], 3000)
    await migration({ source: before.url, target: cluster.url, mode: 'snapshot' }).start()
    await runWorkload(parseEndpoint(source.url), 0.7, 4, [], 3000)
    const state = stateDir()
    await migration({
      source: source.url,
      target: cluster.url,
      mode: 'live',
      exit: true,
      id: 'm',
      stateDir: state,
    }).start()
    expect(await keyspaceDifferences(before.url, cluster.url, { leaveOut: ofTool })).not.toEqual([])
    const rolled = await cli(['rollback', '--id', 'm', '--force', '--state-dir', state])
    expect([rolled.code, rolled.output]).toEqual([0, expect.stringContaining('RESULT: ✅ ROLLED BACK')])
    expect(await keyspaceDifferences(before.url, cluster.url)).toEqual([])
  }, 60_000)

  it('that lacks the owner of a slot is refused with the slot', async () => {
    const broken = await RedisCluster.start({ replicas: 0 })
    try {
      const [node] = await broken.primaries()
      const [slot] = slotsOf(await broken.slotsOf(node))
      for (const one of broken.nodes) await one.command('CLUSTER', 'DELSLOTS', slot)
      const source = await start()
      const run = migration({ source: source.url, target: broken.url, mode: 'snapshot' }).start()
      await expect(run).rejects.toMatchObject({ code: 'FM_CLUSTER_DOWN', message: expect.stringContaining(`${slot}`) })
    } finally {
      await broken.stop()
    }
  })

  it('that is a single server is told apart from one', async () => {
    const source = await start()
    const target = `redis-cluster://127.0.0.1:${new URL((await start()).url).port}`
    const run = migration({ source: source.url, target, mode: 'snapshot' }).start()
    await expect(run).rejects.toMatchObject({ code: 'FM_CLUSTER_NONE' })
  })
})
