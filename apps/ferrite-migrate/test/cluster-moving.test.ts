import { mkdtempSync, readFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { keySlot } from '@ferrite-migrate/protocol'
import { type ClusterNode, Random, type RedisCluster, type ServerVersion } from '@ferrite-migrate/servers'
import { describe, expect, it } from 'vitest'
import { between, startCluster, twoOf } from './clusters.js'
import { command, migration, stateDir } from './run.js'
import { start } from './servers.js'
import { cli, Tool } from './tool.js'

const TAG = '{t1}'
const SLOT = keySlot(Buffer.from(TAG))

async function fillSlot(cluster: RedisCluster, keys: number): Promise<{ from: ClusterNode; to: ClusterNode }> {
  const from = await cluster.nodeOf(SLOT)
  const to = (await cluster.primaries()).find((node) => node !== from)!
  for (let i = 0; i < keys; i++) await from.command('SET', `${TAG}${i}`, `${i}`)
  return { from, to }
}

const exported = async (cluster: RedisCluster): Promise<string[]> => {
  const path = join(mkdtempSync(join(tmpdir(), 'fm-moving-')), 'x.ndjson')
  expect(await cli(['export', '-s', cluster.url, '-o', path])).toMatchObject({ code: 0 })
  const lines = readFileSync(path, 'utf8').trim().split('\n')
  return lines.map((line) => JSON.parse(line).key)
}

/** `npm run test:faults` has more versions. */
const VERSIONS: readonly ServerVersion[] =
  process.env.FERRITE_MIGRATE_KILLS === undefined ? ['7.0'] : ['7.0', '8.2', '8.6', 'valkey-9.1']

describe.each(VERSIONS)('a slot of a cluster of %s that is open when a run begins', (version) => {
  it('is copied, exported and compared whole, and a live run does not end before it is at rest', async () => {
    const cluster = await startCluster(version, { replicas: 0 })
    const target = await start()
    const { from, to } = await fillSlot(cluster, 200)
    const move = await cluster.beginMove([SLOT], from, to)
    await move.moveKeys(100)
    await migration({ source: cluster.url, target: target.url, mode: 'snapshot' }).start()
    expect(Number(await command(target.url, 'DBSIZE'))).toBe(200)
    const names = await exported(cluster)
    expect([names.length, new Set(names).size]).toEqual([200, 200])
    const ends = ['-s', cluster.url, '-t', target.url]
    for (const what of ['compare', 'verify']) expect(await cli([what, ...ends])).toMatchObject({ code: 0 })
    await command(target.url, 'FLUSHALL')
    const live = new Tool(['migrate', ...ends, '-m', 'live', '--exit', '--state-dir', stateDir()])
    await live.says('LIVE_SYNC')
    await live.says(`1 slot of the source stay under way (${SLOT})`)
    expect(live.child.exitCode).toBeNull()
    await move.finish()
    expect(await live.over).toBe(0)
    expect(await between(cluster, target)).toEqual([])
  })
})

describe('snapshots of a cluster whose slots never rest', () => {
  it('have every key, as a migration and as an export', async () => {
    const cluster = await startCluster('7.0', { replicas: 0 })
    const target = await start()
    const count = 3000
    for (const [i, node] of (await cluster.primaries()).entries()) {
      const ranges = await cluster.slotsOf(node)
      for (let n = i * 1000, found = 0; found < count / 3; n++) {
        const slot = keySlot(Buffer.from(`key:${n}`))
        if (!ranges.some(({ first, last }) => slot >= first && slot <= last)) continue
        await node.command('SET', `key:${n}`, `${n}`)
        found++
      }
    }
    const random = new Random(21)
    /** Moves slots for as long as something takes. A cluster that is moved as fast as that may lose keys itself. */
    const whileMoving = async (work: () => Promise<unknown>): Promise<void> => {
      let going = true
      const moving = (async () => {
        while (going) {
          const [from, to] = await twoOf(cluster, random)
          const ranges = await cluster.slotsOf(from)
          const { first, last } = ranges[random.below(ranges.length)]
          const begin = first + random.below(last - first + 1)
          const slots = Array.from({ length: Math.min(30, last - begin + 1) }, (_, i) => begin + i)
          await cluster.reshardSlots(slots, from, to)
        }
      })()
      await work().finally(() => {
        going = false
      })
      await moving
    }
    const there = async (): Promise<string[]> => {
      const all = await Promise.all((await cluster.primaries()).map((node) => node.command('KEYS', '*')))
      return all.flat().map(String)
    }
    expect(await there()).toHaveLength(count)
    for (let round = 0; round < 5; round++) {
      await command(target.url, 'FLUSHALL')
      let names: string[] = []
      await whileMoving(async () => {
        await migration({ source: cluster.url, target: target.url, mode: 'snapshot' }).start()
        names = await exported(cluster)
      })
      const left = await there()
      const copied = new Set(((await command(target.url, 'KEYS', '*')) as Buffer[]).map(String))
      expect(left.filter((name) => !copied.has(name))).toEqual([])
      expect(left.filter((name) => !names.includes(name))).toEqual([])
      expect(new Set(names).size).toBe(names.length)
    }
  })
})

describe('a user of a cluster without the rights that a moved slot needs', () => {
  it.each(['dump', 'eval', 'cluster|getkeysinslot'])('%s is refused before anything is written', async (right) => {
    const cluster = await startCluster('8.2', { replicas: 0 })
    const target = await start()
    const rights = ['on', '>pass', '~*', '&*', '+@all', `-${right}`]
    for (const node of cluster.nodes) await node.command('ACL', 'SETUSER', 'less', ...rights)
    await fillSlot(cluster, 3)
    const source = cluster.url.replace('://', '://less:pass@')
    const { code, output } = await cli(['migrate', '-s', source, '-t', target.url, '--state-dir', stateDir()])
    expect({ code, output }).toMatchObject({ code: 4, output: expect.stringContaining('FM_AUTH_RIGHTS') })
    expect(output.toLowerCase()).toContain(right.split('|').at(-1))
    expect(output).not.toContain('pass@')
    expect(Number(await command(target.url, 'DBSIZE'))).toBe(0)
  })
})
