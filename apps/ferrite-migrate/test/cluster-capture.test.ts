import { setTimeout as sleep } from 'node:timers/promises'
import { ClusterWriter, Random, type RedisCluster, until } from '@ferrite-migrate/servers'
import { describe, expect, it } from 'vitest'
import { equal, failOver, isLive, moveSlots, startCluster, twoOf } from './clusters.js'
import { migration } from './run.js'
import { start } from './servers.js'
import { cli } from './tool.js'

const settings = (cluster: RedisCluster): Promise<string[]> =>
  Promise.all(cluster.nodes.map(async (node) => String(await node.command('CONFIG', 'GET', 'notify-keyspace-events'))))

describe('a cluster that is followed without replication', () => {
  it.each(['7.0', 'valkey-9.1'] as const)(
    'tells by notifications of all primaries what changes while slots move, a primary fails over and one is emptied (%s)',
    async (version) => {
      const cluster = await startCluster(version)
      const target = await start()
      const before = await settings(cluster)
      const writer = await ClusterWriter.start(cluster.url, { perSecond: 800 })
      const run = migration({ source: cluster.url, target: target.url, sourceOptions: { capture: 'notifications' } })
      const over = run.start()
      await isLive(run)
      expect(run.report().status.apply).toBe('state')
      const random = new Random(11)
      for (let move = 0; move < 3; move++) await moveSlots(cluster, random, 200)
      await failOver(cluster, random)
      const joined = await cluster.addNode()
      const [from] = await twoOf(cluster, random)
      const [{ first }] = await cluster.slotsOf(from)
      await cluster.reshardSlots([first, first + 1, first + 2], from, joined)
      await writer.stop()
      await equal(cluster, target)
      const [node] = await cluster.primaries()
      await cluster.command(node, 'FLUSHALL')
      await equal(cluster, target)
      const cutover = await run.cutover({ verify: true })
      expect(cutover).toMatchObject({ verification: { equal: true } })
      expect((await over).status.state).toBe('COMPLETED')
      expect((await settings(cluster)).slice(0, before.length)).toEqual(before)
    },
  )

  it('is compared again and again by polling', async () => {
    const cluster = await startCluster('8.2')
    const target = await start()
    const writer = await ClusterWriter.start(cluster.url, { perSecond: 500 })
    const sourceOptions = { capture: 'polling', 'poll-interval': '1s' }
    const run = migration({ source: cluster.url, target: target.url, sourceOptions })
    const over = run.start()
    await isLive(run)
    await moveSlots(cluster, new Random(4), 300)
    await sleep(500)
    await writer.stop()
    await equal(cluster, target)
    run.stop()
    await over
  })

  it('is read by notifications where its nodes refuse replication, and says so', async () => {
    const cluster = await startCluster('8.2')
    const target = await start()
    const rights = ['on', '>secret', '~*', '&*', '+@all', '-psync', '-sync', '-replconf']
    for (const node of cluster.nodes) await node.command('ACL', 'SETUSER', 'managed', ...rights)
    const writer = await ClusterWriter.start(cluster.url)
    await until(async () => writer.log.count('acknowledged') > 500, 'some writes')
    const url = cluster.url.replace('://', '://managed:secret@')
    const run = migration({ source: url, target: target.url })
    const over = run.start()
    await isLive(run)
    const { code, output } = await cli(['migrate', '-s', url, '-t', target.url, '--dry-run'])
    expect(code).toBe(0)
    expect(output).toContain('capture: notifications')
    expect(output).not.toContain('secret')
    await writer.stop()
    await equal(cluster, target)
    run.stop()
    await over
    const psync = migration({ source: url, target: target.url, sourceOptions: { capture: 'psync' } }).start()
    await expect(psync).rejects.toMatchObject({ code: 'FM_PSYNC_REFUSED' })
  })
})
