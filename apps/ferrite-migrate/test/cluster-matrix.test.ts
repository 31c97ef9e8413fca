import { FerriteEmulator } from '@ferrite-migrate/ferrite-emulator'
import { keySlot } from '@ferrite-migrate/protocol'
import { parseEndpoint } from '@ferrite-migrate/redis'
import {
  type ClusterNode,
  ClusterWriter,
  Random,
  type RedisCluster,
  type ServerVersion,
  until,
} from '@ferrite-migrate/servers'
import { describe, expect, it } from 'vitest'
import { between, equal, isLive, moveSlots, startCluster } from './clusters.js'
import { command, migration } from './run.js'
import { start, stops } from './servers.js'

const TAG = '{t1}'
const SLOT = keySlot(Buffer.from(TAG))

describe('clusters of different sizes', () => {
  it.each([
    [3, 5],
    [5, 3],
  ])('%i primaries into %i, live, while both move slots, then cut over', async (from, to) => {
    const [cluster, target] = await Promise.all([
      startCluster('8.2', { primaries: from, replicas: 0 }),
      startCluster('valkey-9.1', { primaries: to, replicas: 0 }),
    ])
    const writer = await ClusterWriter.start(cluster.url, { perSecond: 1500 })
    const run = migration({ source: cluster.url, target: target.url })
    const over = run.start()
    await isLive(run)
    const random = new Random(from)
    await Promise.all([moveSlots(cluster, random, 100), moveSlots(target, random, 100)])
    await writer.stop()
    await equal(cluster, target)
    expect(await run.cutover({ verify: true })).toMatchObject({ verification: { equal: true } })
    expect((await over).status.state).toBe('COMPLETED')
  })
})

describe('a cluster into a Ferrite', () => {
  it('is merged into one server while slots move', async () => {
    const cluster = await startCluster('7.0', { replicas: 0 })
    const backend = await start({ version: '7.0' })
    const target = await FerriteEmulator.start(parseEndpoint(backend.url))
    stops.push(() => target.stop())
    // Ferrite keeps what these write; streams and groups of consumers it does not.
    const write = async (n: number): Promise<void> => {
      for (const node of await cluster.primaries()) {
        const [{ first }] = await cluster.slotsOf(node)
        const tag = await tagOf(first)
        await node.command('SET', `{${tag}}s`, `v${n}`)
        await node.command('RPUSH', `{${tag}}l`, `v${n}`)
        await node.command('HSET', `{${tag}}h`, 'f', `v${n}`)
        await node.command('INCR', `{${tag}}n`)
      }
    }
    await write(0)
    const run = migration({ source: cluster.url, target: target.url })
    const over = run.start()
    await isLive(run)
    for (let n = 1; n < 20; n++) await write(n)
    await moveSlots(cluster, new Random(1), 200)
    for (let n = 20; n < 40; n++) await write(n)
    await equal(cluster, backend)
    run.stop()
    await over
  })
})

/** Some text that is of a slot. */
async function tagOf(slot: number): Promise<string> {
  for (let n = 0; ; n++) if (keySlot(Buffer.from(`x${n}`)) === slot) return `x${n}`
}

/** A key of every type, with ends where they can have them, and a list of 300,000 elements. */
async function fill(node: ClusterNode): Promise<void> {
  const key = (name: string): string => `${TAG}${name}`
  const commands: string[][] = [
    ['SET', key('string'), 'value'],
    ['SET', key('ends'), 'value', 'PX', '600000'],
    ['SET', key('int'), '41'],
    ['SETBIT', key('bits'), '100000', '1'],
    ['PFADD', key('hll'), 'a', 'b', 'c'],
    ['RPUSH', key('list'), 'a', 'b', 'c'],
    ['SADD', key('set'), 'a', 'b', 'c'],
    ['SADD', key('intset'), '1', '2', '3'],
    ['ZADD', key('zset'), '1.5', 'a', '-inf', 'b'],
    ['GEOADD', key('geo'), '13.361389', '38.115556', 'Palermo'],
    ['HSET', key('hash'), 'f', '1', 'g', '2'],
    ['XADD', key('stream'), '1-1', 'f', 'v'],
    ['XADD', key('stream'), '2-1', 'f', 'v'],
    ['XGROUP', 'CREATE', key('stream'), 'g', '0'],
    ['XREADGROUP', 'GROUP', 'g', 'c', 'COUNT', '1', 'STREAMS', key('stream'), '>'],
  ]
  for (const command of commands) await node.command(command[0], ...command.slice(1))
  await node.command('HPEXPIRE', key('hash'), '600000', 'FIELDS', '1', 'f').catch(() => undefined)
  const some = Array.from({ length: 10_000 }, (_, i) => `element ${i}`)
  for (let i = 0; i < 30; i++) await node.command('RPUSH', key('large'), ...some)
}

/** A change of each kind, by whoever has the slot. */
async function touch(cluster: RedisCluster, n: number): Promise<void> {
  const node = await cluster.nodeOf(SLOT)
  await node.command('INCR', `${TAG}int`)
  await node.command('APPEND', `${TAG}string`, `${n}`)
  await node.command('RPUSH', `${TAG}large`, `touched ${n}`)
  await node.command('XADD', `${TAG}stream`, '*', 'n', `${n}`)
  await node.command('HSET', `${TAG}hash`, 'n', `${n}`)
}

/** A cluster with such a slot, followed, and the node that the slot is to go to. */
async function followed(version: ServerVersion) {
  const cluster = await startCluster(version, { replicas: 0 })
  const target = await start({ version })
  const home = await cluster.nodeOf(SLOT)
  const away = (await cluster.primaries()).find((node) => node !== home)!
  await fill(home)
  const run = migration({ source: cluster.url, target: target.url })
  const over = run.start()
  await isLive(run)
  return { cluster, target, home, away, run, over }
}

describe.each(['7.0', '8.6', 'valkey-9.1'] as const)(
  'a slot with a key of every type and a large list, on %s',
  (version) => {
    it('moves, is moved away and back within a second, is moved by the servers, and is cancelled', async () => {
      const { cluster, target, home, away, run, over } = await followed(version)
      // Ends that the source may still put off are the target's only when the run is over.
      const caughtUp = (): Promise<void> => equal(cluster, target, (text) => text.startsWith(`${TAG}ends: expiry`))
      await touch(cluster, 1)
      await cluster.reshardSlot(SLOT, home, away)
      await touch(cluster, 2)
      await caughtUp()
      await cluster.reshardSlot(SLOT, away, home)
      await touch(cluster, 3)
      await cluster.reshardSlot(SLOT, home, away)
      await touch(cluster, 4)
      await cluster.reshardSlot(SLOT, away, home)
      await touch(cluster, 5)
      await caughtUp()
      const cancelled = await cluster.beginMove([SLOT], home, away)
      await cancelled.moveKeys(4)
      await cancelled.cancel()
      await touch(cluster, 6)
      await caughtUp()
      if (cluster.movesSlotsItself) {
        const range = [{ first: SLOT, last: SLOT }]
        await (await cluster.migrateSlots(range, home, away)).done()
        await touch(cluster, 7)
        await caughtUp()
        const back = await cluster.migrateSlots(range, away, home)
        await back.cancel().catch(() => undefined)
        await until(async () => (await back.status()) !== 'running', 'the end of the move')
        await touch(cluster, 8)
        await caughtUp()
      }
      const cutover = await run.cutover({ verify: true })
      expect(cutover).toMatchObject({ verification: { equal: true } })
      await over
      expect(await between(cluster, target)).toEqual([])
    })

    it('vanishes with its keys when another node takes it over, also at the target', async () => {
      const { cluster, target, home, away, run, over } = await followed(version)
      await away.command('CLUSTER', 'SETSLOT', String(SLOT), 'IMPORTING', home.id)
      await away.command('CLUSTER', 'SETSLOT', String(SLOT), 'NODE', away.id)
      await until(async () => (await cluster.nodeOf(SLOT)) === away, 'the take-over')
      await away.command('SET', `${TAG}new`, 'at the new owner')
      await equal(cluster, target)
      expect(Number(await command(target.url, 'EXISTS', `${TAG}large`))).toBe(0)
      run.stop()
      await over
    })
  },
)
