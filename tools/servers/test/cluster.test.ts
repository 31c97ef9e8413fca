import { existsSync } from 'node:fs'
import { keySlot } from '@ferrite-migrate/protocol'
import {
  answersPing,
  type ClusterNode,
  ClusterWriter,
  ControlLink,
  findServer,
  keyspaceDifferences,
  RedisCluster,
  rangesOf,
  SentinelGroup,
  type ServerVersion,
  slotsOf,
  TestServer,
  until,
  writerFaults,
} from '@ferrite-migrate/servers'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'

const VERSIONS: readonly ServerVersion[] = ['7.0', '8.2', '8.6', 'valkey-9.1']
const SLOT = keySlot(Buffer.from('{t1}'))

const stops: (() => Promise<unknown>)[] = []
afterEach(async () => {
  for (const stop of stops.splice(0).reverse()) await stop()
})

async function fill(node: ClusterNode, count: number, bytes = 10): Promise<void> {
  for (let at = 0; at < count; at += 500)
    await node.pipeline((out) => {
      for (let i = at; i < at + 500; i++) out.call('SET', `{t1}${i}`, 'x'.repeat(bytes))
      return 500
    })
}

const keysAt = async (node: ClusterNode): Promise<number> =>
  Number(await node.command('CLUSTER', 'COUNTKEYSINSLOT', SLOT))

describe('a cluster', () => {
  let cluster: RedisCluster

  beforeAll(async () => {
    cluster = await RedisCluster.start({ version: '7.0' })
  })
  afterAll(() => cluster.stop())

  /** The owner of the slot of the tests, and another primary. */
  async function twoNodes(): Promise<[ClusterNode, ClusterNode]> {
    const owner = await cluster.nodeOf(SLOT)
    return [owner, (await cluster.primaries()).find((node) => node !== owner)!]
  }

  it('has three primaries and a replica of each, and serves all slots', async () => {
    const primaries = await cluster.primaries()
    expect(primaries).toEqual(cluster.nodes.slice(0, 3))
    for (const [i, primary] of primaries.entries())
      expect(await cluster.replicasOf(primary)).toEqual([cluster.nodes[3 + i]])
    const slots = await Promise.all(primaries.map((node) => cluster.slotsOf(node)))
    expect(rangesOf(slots.flatMap(slotsOf))).toEqual([{ first: 0, last: 16_383 }])
    expect(cluster.url).toBe(`redis-cluster://${cluster.nodes.map(({ port }) => `127.0.0.1:${port}`).join(',')}`)
  })

  it('moves a slot with its keys by MIGRATE', async () => {
    const [from, to] = await twoNodes()
    await fill(from, 500)
    await cluster.reshardSlot(SLOT, from, to)
    await cluster.waitUntilOk()
    expect(await cluster.nodeOf(SLOT)).toBe(to)
    expect([await keysAt(from), await keysAt(to)]).toEqual([0, 500])
    await expect(cluster.command(from, 'GET', '{t1}1')).rejects.toThrow(`MOVED ${SLOT} 127.0.0.1:${to.port}`)
  })

  it('moves a slot in steps, in which clients are sent to the receiver for what has gone', async () => {
    const [from, to] = await twoNodes()
    const move = await cluster.beginMove([SLOT], from, to)
    expect(await move.moveKeys(120)).toBe(120)
    expect([await keysAt(from), await keysAt(to)]).toEqual([380, 120])
    await expect(cluster.command(from, 'GET', '{t1}new')).rejects.toThrow(`ASK ${SLOT} 127.0.0.1:${to.port}`)
    await move.finish()
    expect([await keysAt(from), await keysAt(to)]).toEqual([0, 500])
    expect(await cluster.nodeOf(SLOT)).toBe(to)
  })

  it('takes a move back; what clients made anew meanwhile stays', async () => {
    const [from, to] = await twoNodes()
    const move = await cluster.beginMove([SLOT], from, to)
    await move.moveKeys(120)
    const [moved] = (await to.command('CLUSTER', 'GETKEYSINSLOT', SLOT, 1)) as Buffer[]
    await from.command('CLUSTER', 'SETSLOT', SLOT, 'STABLE')
    await from.command('SET', moved, 'anew')
    await move.cancel()
    await cluster.waitUntilOk()
    expect([await keysAt(from), await keysAt(to)]).toEqual([500, 0])
    expect(String(await from.command('GET', moved))).toBe('anew')
    expect((await from.view()).flatMap(({ open }) => open)).toEqual([])
  })

  it('closes slots that a move left open', async () => {
    const [from, to] = await twoNodes()
    await (await cluster.beginMove([SLOT], from, to)).moveKeys(10)
    const open = async (): Promise<unknown[]> =>
      (await Promise.all([from, to].map((node) => node.view()))).flat().flatMap((line) => line.open)
    expect(await open()).toEqual([
      { slot: SLOT, direction: 'migrating', peer: to.id },
      { slot: SLOT, direction: 'importing', peer: from.id },
    ])
    await cluster.closeSlots()
    expect(await open()).toEqual([])
    expect([await keysAt(from), await keysAt(to)]).toEqual([500, 0])
  })

  it('has replicas promoted, with and without a vote, and in place of a dead primary', async () => {
    const [first, second] = await cluster.primaries()
    const [replica] = await cluster.replicasOf(first)
    await cluster.failover(replica)
    expect(await cluster.replicasOf(replica)).toEqual([first])
    const [other] = await cluster.replicasOf(second)
    await cluster.failover(other, { takeover: true })
    expect(await cluster.replicasOf(other)).toEqual([second])
    await cluster.kill(replica)
    await cluster.failover(first, { force: true })
    expect(await cluster.primaries()).not.toContain(replica)
    await cluster.restart(replica)
    await cluster.waitUntilOk()
    expect(await cluster.replicasOf(first)).toEqual([replica])
  })

  it('adds a node and a replica of it, and removes them with what they own', async () => {
    const node = await cluster.addNode()
    expect(await cluster.slotsOf(node)).toEqual([])
    const replica = await cluster.addNode(node)
    const owner = await cluster.nodeOf(SLOT)
    await cluster.reshardSlots([SLOT, ...slotsOf(await cluster.slotsOf(owner)).slice(0, 600)], owner, node)
    await cluster.waitUntilOk()
    expect(await cluster.primaries()).toContain(node)
    expect(await cluster.replicasOf(node)).toEqual([replica])
    await cluster.removeNode(node)
    await cluster.removeNode(replica)
    expect(cluster.nodes).toHaveLength(6)
    expect(await cluster.primaries()).toHaveLength(3)
    expect(await keysAt(await cluster.nodeOf(SLOT))).toBe(500)
    for (const other of cluster.nodes) expect(await other.view()).toHaveLength(6)
  })

  it('a writer follows slots that move, and loses and doubles nothing', async () => {
    const writer = await ClusterWriter.start(cluster.url, { tags: 4, clients: 3, seed: 5 })
    const { detours } = writer.log
    const written = (): number => writer.log.count('acknowledged')
    for (let i = 0; i < 6 || detours.ask === 0 || detours.tryAgain === 0 || detours.moved === 0; i++) {
      const [from, to] = await twoNodes()
      const move = await cluster.beginMove([SLOT], from, to)
      // Of the keys with one tag some have gone and some have not: whoever wants both has to wait.
      await move.moveKeys(3)
      const [steps, waits] = [written(), detours.tryAgain]
      await until(() => written() > steps + 300 || detours.tryAgain > waits + 5, 'steps in a move')
      await move.finish()
      await until(() => written() > steps + 300, 'steps after a move')
    }
    const log = await writer.stop()
    expect(log.count('unknown')).toBeLessThanOrEqual(3)
    expect([...log.operations.keys()].sort()).toEqual(
      ['append', 'del', 'eval', 'expire', 'incr', 'multi', 'rename', 'rpush', 'spop', 'xadd'].sort(),
    )
    expect(new Set(log.refusals)).toEqual(new Set(['ERR no such key']))
    expect(await writerFaults(log, cluster.url, true)).toEqual([])
    const node = await cluster.nodeOf(SLOT)
    await node.command('RPUSH', '{t1}:l', '9-9-9', '9-9-9')
    await node.command('INCRBY', '{t1}:n', 1000)
    await node.command('DEL', '{t1}:s')
    const faults = await writerFaults(log, cluster.url, true)
    expect(faults).toContain('{t1}:l has 9-9-9 2 times')
    expect(faults).toContain('{t1}:l has 9-9-9, which nobody wrote')
    expect(faults.some((fault) => /^\{t1\}:n is 1\d\d\d after \d+ acknowledged/.test(fault))).toBe(true)
    expect(faults.some((fault) => /^\{t1\}:s lacks \d+ of \d+, such as 5-/.test(fault))).toBe(true)
  })

  it('a killed primary is replaced under a writer, which goes on', async () => {
    const writer = await ClusterWriter.start(cluster.url, { tags: 30, seed: 6, prefix: 'kill' })
    const [primary] = await cluster.primaries()
    await until(() => writer.log.count('acknowledged') > 500, 'steps before')
    await cluster.kill(primary)
    await cluster.waitUntilOk()
    const before = writer.log.count('acknowledged')
    await until(() => writer.log.count('acknowledged') > before + 500, 'steps afterwards')
    const log = await writer.stop()
    expect(log.detours.down).toBeGreaterThan(0)
    expect(await writerFaults(log, cluster.url, false)).toEqual([])
    await cluster.restart(primary)
    await cluster.waitUntilOk()
    expect(await cluster.primaries()).not.toContain(primary)
  })

  it('equals a server with the same keys, and each difference is told', async () => {
    const server = await TestServer.start()
    stops.push(() => server.stop())
    const again = await RedisCluster.start({ primaries: 1, replicas: 0 })
    stops.push(() => again.stop())
    const [node] = again.nodes
    const commands = [
      ['SET', 's', '1'],
      ['RPUSH', 'l', 'a', 'b'],
      ['SADD', 'u', 'a', 'b', 'c'],
      ['ZADD', 'z', '0.1', 'm', 'inf', 'n'],
      ['HSET', 'h', 'f', '1', 'g', '2'],
      ['XADD', 'x', '1-1', 'f', 'v'],
      ['XGROUP', 'CREATE', 'x', 'g', '0'],
      ['SET', 'e', '1', 'PXAT', String(Date.now() + 600_000)],
    ]
    const link = new ControlLink(server.url)
    stops.push(async () => link.close())
    for (const command of commands) {
      await link.call(...command)
      await node.command(...command)
    }
    expect(await keyspaceDifferences(again.url, server.url)).toEqual([])
    for (const command of [
      ['DEL', 's'],
      ['SET', 'only', '1'],
      ['LSET', 'l', '1', 'c'],
      ['ZINCRBY', 'z', '1', 'm'],
      ['XREADGROUP', 'GROUP', 'g', 'c', 'STREAMS', 'x', '>'],
      ['DEL', 'u'],
      ['SET', 'u', '1'],
      ['PEXPIRE', 'e', '500000'],
    ])
      await link.call(...command)
    const told = (await keyspaceDifferences(again.url, server.url)).map(({ key, what }) => `${key} ${what}`)
    expect(told.sort()).toEqual([
      'e expiry',
      'l value',
      'only missing in the first',
      's missing in the second',
      'u type',
      'x value',
      'z value',
    ])
    const [difference] = await keyspaceDifferences(again.url, server.url, { leaveOut: (name) => name !== 'l' })
    expect([difference.first, difference.second]).toEqual(['list of 2: a b', 'list of 2: a c'])
  })
})

describe.each(VERSIONS)('a cluster of %s', (version) => {
  it('starts with a password, moves a slot, and leaves nothing behind', async (context) => {
    const found = await findServer(version)
    if ('reason' in found) return context.skip(`${version}: ${found.reason}`)
    const cluster = await RedisCluster.start({ version, primaries: 2, replicas: 0, password: 'p@ss' })
    stops.push(() => cluster.stop())
    const from = await cluster.nodeOf(SLOT)
    const to = cluster.nodes.find((node) => node !== from)!
    await fill(from, 1000)
    await cluster.reshardSlot(SLOT, from, to)
    expect(await keysAt(to)).toBe(1000)
    if (cluster.movesSlotsItself) {
      const migration = await cluster.migrateSlots(rangesOf([SLOT]), to, from)
      await migration.done()
      await cluster.waitUntilOk()
      expect(await migration.status()).toBe('done')
      expect(await cluster.nodeOf(SLOT)).toBe(from)
      expect(await keysAt(from)).toBe(1000)

      await fill(from, 30_000, 500)
      const cancelled = await cluster.migrateSlots(rangesOf([SLOT]), from, to)
      await cancelled.cancel()
      await expect(cancelled.done()).rejects.toThrow('slots did not move')
      await cluster.waitUntilOk()
      expect(await cluster.nodeOf(SLOT)).toBe(from)
      expect(await keysAt(from)).toBe(30_000)
      await cluster.reshardSlot(SLOT, from, to)
    }
    const { nodes } = cluster
    await cluster.stop()
    for (const { port, busPort, server } of nodes) {
      expect(existsSync(server.directory)).toBe(false)
      for (const one of [port, busPort]) expect(await answersPing(one, 50)).toBe(false)
    }
  })

  it('stands behind sentinels', async (context) => {
    const found = await findServer(version)
    if ('reason' in found) return context.skip(`${version}: ${found.reason}`)
    const group = await SentinelGroup.start({ version, name: 'orders' })
    stops.push(() => group.stop())
    expect(await group.primary()).toBe(group.nodes[0])
    expect(group.url).toBe(
      `redis-sentinel://${group.sentinels.map(({ port }) => `127.0.0.1:${port}`).join(',')}/orders`,
    )
  })
})

describe('a group of sentinels', () => {
  it('names another primary after a failover and after a kill, and takes servers and sentinels back', async () => {
    const group = await SentinelGroup.start({ version: '7.0', password: 'p@s', sentinelPassword: 's@p' })
    stops.push(() => group.stop())
    const [first, second] = group.nodes
    expect(group.url).toContain(':p%40s@127.0.0.1:')
    const writer = await ClusterWriter.start(async () => (await group.primary()).url, { tags: 10 })
    await until(() => writer.log.count('acknowledged') > 200, 'steps before')
    await group.failover()
    // On a machine that stands still now and then the sentinels may have failed over once more by themselves.
    const led = await group.primary()
    const other = led === second ? first : second
    await group.kill(group.sentinels[0])
    await group.kill(led)
    await group.waitUntilOk()
    await until(async () => (await group.primary()) === other, 'the other one as primary')
    await group.restart(led)
    await group.restart(group.sentinels[0])
    await group.waitUntilOk()
    const leads = await group.primary()
    expect(await (leads === first ? second : first).follows(leads.port)).toBe(true)
    const before = writer.log.count('acknowledged')
    await until(() => writer.log.count('acknowledged') > before + 200, 'steps afterwards')
    expect(await writerFaults(await writer.stop(), leads.url, false)).toEqual([])
  })
})
