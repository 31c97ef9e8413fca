import { keySlot } from '@ferrite-migrate/protocol'
import { RedisCluster } from '@ferrite-migrate/servers'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { ClusterKeyReader, ClusterTopology, NodeMap, parseEndpoint } from '../../dist/index.js'

const SLOT = keySlot(Buffer.from('{t}'))

describe.each(['7.0', 'valkey-9.1'] as const)('the key reader of a cluster of %s', (version) => {
  let cluster: RedisCluster
  let topology: ClusterTopology
  beforeAll(async () => {
    cluster = await RedisCluster.start({ version, replicas: 0 })
    const [{ port }] = cluster.nodes
    topology = await ClusterTopology.open({
      endpoint: parseEndpoint(`redis://127.0.0.1:${port}`),
      seeds: [{ host: '127.0.0.1', port }],
      nodeMap: new NodeMap(''),
      option: '--source-option',
    })
  })
  afterAll(async () => {
    topology.close()
    await cluster.stop()
  })

  it('has every key of a slot that stays open, wherever it is, and takes none for gone', async () => {
    const from = await cluster.nodeOf(SLOT)
    const to = (await cluster.primaries()).find((node) => node !== from)!
    const names = Array.from({ length: 100 }, (_, i) => `{t}${i}`)
    for (const name of names) await from.command('SET', name, `v${name}`, 'PX', '100000')
    const big = '{t}big'
    await from.command('RPUSH', big, ...Array.from({ length: 5000 }, (_, i) => `element ${i}`))
    const reader = new ClusterKeyReader(topology, { sliceLimit: 10_000 })
    const move = await cluster.beginMove([SLOT], from, to)
    const keys = [...names, big, '{t}none', 'elsewhere'].map((name) => Buffer.from(name))
    const there = [...names.map(() => true), true, false, false]
    for (const moved of [0, 30, 1000]) {
      await move.moveKeys(moved)
      expect(await reader.exist(0, keys)).toEqual(there)
      const records = await reader.read(0, keys)
      expect(records.map((record) => record !== null)).toEqual(there)
      expect(records.slice(0, 100).every((record) => record !== null && record.expireAt > Date.now())).toBe(true)
      const { value } = records[100]!
      if (value.form !== 'sliced') throw new Error(`not sliced but ${value.form}`)
      let elements = 0
      for await (const { items } of value.slices) elements += items.length
      expect(elements).toBe(5000)
      expect((await reader.digest(0, keys)).map((digest) => digest !== null)).toEqual(there)
      expect((await reader.expiries(0, keys)).map((end) => end !== -1)).toEqual(there)
      expect((await reader.describe(0, keys)).map((one) => one !== null)).toEqual(there)
      const scanned = new Set<string>()
      for await (const page of reader.keys()) for (const { key } of page) scanned.add(String(key))
      expect(scanned).toEqual(new Set([...names, big]))
    }
    await move.finish()
    expect(await reader.exist(0, keys)).toEqual(there)
    await reader.close()
  })
})
