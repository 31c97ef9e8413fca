import { RedisCluster, until } from '@ferrite-migrate/servers'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { ClusterTopology, NodeMap, parseEndpoint } from '../../dist/index.js'

let cluster: RedisCluster
beforeAll(async () => {
  cluster = await RedisCluster.start()
})
afterAll(() => cluster.stop())

function open(port: number, nodeMap = '', near?: readonly string[]): Promise<ClusterTopology> {
  const endpoint = parseEndpoint(`redis://127.0.0.1:${port}`)
  return ClusterTopology.open({
    endpoint,
    seeds: [{ host: '127.0.0.1', port }],
    nodeMap: new NodeMap(nodeMap),
    option: '--source-option',
    ...(near === undefined ? {} : { near }),
  })
}

describe('the topology of a cluster', () => {
  it('has every slot, its owner, and who stands beside it', async () => {
    const topology = await open(cluster.nodes[4].port)
    expect(topology.view.shards.map(({ replicas }) => replicas.length)).toEqual([1, 1, 1])
    expect([...topology.view.owners].filter((owner) => owner < 0)).toEqual([])
    expect(topology.view.disputed.size).toBe(0)
    const node = await cluster.nodeOf(42)
    expect(topology.ownerOf(42)?.primary.id).toBe(node.id)
    topology.close()
  })

  it('sees a slot under way, and its new owner', async () => {
    const topology = await open(cluster.nodes[0].port)
    const from = await cluster.nodeOf(7)
    const to = (await cluster.primaries()).find((node) => node !== from)!
    const move = await cluster.beginMove([7], from, to)
    expect((await topology.look()).moving.get(7)).toEqual({ slot: 7, from: from.id, to: to.id })
    await move.finish()
    await until(async () => (await topology.look()).disputed.size === 0, 'agreement')
    expect(topology.view.moving.size).toBe(0)
    expect(topology.ownerOf(7)?.primary.id).toBe(to.id)
    topology.close()
  })

  it('keeps the name of a shard over a failover', async () => {
    const topology = await open(cluster.nodes[0].port)
    const [primary] = await cluster.primaries()
    const name = topology.view.shards.find((shard) => shard.primary.id === primary.id)!.name
    const [replica] = await cluster.replicasOf(primary)
    await cluster.failover(replica)
    await topology.look()
    expect(topology.shard(name)?.primary.id).toBe(replica.id)
    expect(await topology.primaryOf(name).locate()).toEqual({ host: '127.0.0.1', port: replica.port })
    topology.close()
  })
})

describe('a large cluster of which somebody minds a part', () => {
  let large: RedisCluster
  beforeAll(async () => {
    large = await RedisCluster.start({ primaries: 13, replicas: 0 })
  })
  afterAll(() => large.stop())

  /** How often a node was asked so far. */
  async function questions(port: number): Promise<number> {
    const node = large.nodes.find((one) => one.port === port)!
    const text = String(await node.command('INFO', 'commandstats'))
    return Number(/^cmdstat_cluster\|nodes:calls=(\d+)/m.exec(text)?.[1] ?? 0)
  }

  it('is looked at with few questions as long as nothing is new, and whole as soon as something is', async () => {
    const topology = await open(large.nodes[0].port)
    const [minded, from, to] = topology.view.shards
    let looks = 0
    topology.mind([minded.name])
    const unfollow = topology.follow(() => looks++)
    const ports = topology.view.shards.map(({ primary }) => topology.addressOf(primary).port)
    const before = await Promise.all(ports.map(questions))
    await until(() => looks >= 5, 'some looks')
    const asked = (await Promise.all(ports.map(questions))).map((count, i) => count - before[i])
    expect(asked[0]).toBeGreaterThanOrEqual(5)
    expect(asked.reduce((sum, count) => sum + count, 0)).toBeLessThan(looks * 5 + 13)
    // A move between two that nobody minds.
    const slot = from.primary.slots[0][0]
    const node = (id: string) => large.nodes.find((one) => one.id === id)!
    await large.reshardSlots([slot], node(from.primary.id), node(to.primary.id))
    await until(() => topology.ownerOf(slot)?.primary.id === to.primary.id, 'its new owner')
    unfollow()
    topology.close()
  })

  it('is opened, and looked at, by the nodes that matter', async () => {
    const whole = await open(large.nodes[0].port)
    const names = whole.view.shards.map(({ name }) => name)
    const ports = whole.view.shards.map(({ primary }) => whole.addressOf(primary).port)
    whole.close()
    const seed = ports[5]
    const before = await Promise.all(ports.map(questions))
    const topology = await open(seed, '', [names[9]])
    await topology.look()
    const asked = (await Promise.all(ports.map(questions))).map((count, i) => count - before[i])
    expect(topology.view.shards.map(({ name }) => name)).toEqual(names)
    expect([...topology.view.owners].filter((owner) => owner < 0)).toEqual([])
    // The seed, the one that matters, and three in turn.
    expect(asked[9]).toBeGreaterThanOrEqual(3)
    expect(asked.filter((count) => count > 0).length).toBeLessThanOrEqual(5)
    topology.close()
    // Of a name that there is not nothing can be minded.
    const unknown = await open(seed, '', ['nobody'])
    expect(await Promise.all(ports.map(questions)).then((now) => now.every((count, i) => count > before[i]))).toBe(true)
    unknown.close()
  })
})
