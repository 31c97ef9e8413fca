import { mkdtempSync, readFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { keySlot } from '@ferrite-migrate/protocol'
import { ClusterWriter, Random, RedisCluster, until } from '@ferrite-migrate/servers'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { between, moveSlots } from './clusters.js'
import { migration, stateDir } from './run.js'
import { start } from './servers.js'
import { cli } from './tool.js'

/** One command for its key, at the node that has it. */
async function at(cluster: RedisCluster, name: string, key: string, ...more: string[]): Promise<string> {
  return String(await (await cluster.nodeOf(keySlot(Buffer.from(key)))).command(name, key, ...more))
}

describe('every command over clusters', () => {
  let cluster: RedisCluster
  let target: RedisCluster
  const file = (name: string): string => join(mkdtempSync(join(tmpdir(), 'fm-cluster-')), name)
  const count = async (of: RedisCluster): Promise<number> => {
    let sum = 0
    for (const node of await of.primaries()) sum += Number(await node.command('DBSIZE'))
    return sum
  }
  const lines = (path: string): { key: string }[] =>
    readFileSync(path, 'utf8')
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line))

  beforeAll(async () => {
    const started = [RedisCluster.start({ version: '8.2' }), RedisCluster.start({ version: '8.2', replicas: 0 })]
    ;[cluster, target] = await Promise.all(started)
    for (const node of cluster.nodes) await node.command('CONFIG', 'SET', 'cluster-slot-stats-enabled', 'yes')
    const writer = await ClusterWriter.start(cluster.url)
    await until(async () => writer.log.count('acknowledged') > 2000, 'some writes')
    await writer.stop()
  }, 60_000)
  afterAll(async () => {
    await cluster?.stop()
    await target?.stop()
  })

  it('analyze tells which primary has which slots, which slots are full and which are hot', async () => {
    const { code, output } = await cli(['analyze', '-s', cluster.url, '--html', file('a.html')])
    expect(code).toBe(0)
    expect(output).toMatch(/CLUSTER\n.*\nPrimary +Slots +Keys +Memory +Ranges/)
    const ranges = await Promise.all((await cluster.primaries()).map((node) => cluster.slotsOf(node)))
    for (const [{ first, last }] of ranges) expect(output).toContain(`${first}-${last}`)
    expect(output).toMatch(/FULLEST SLOTS\n.*\n\d+ +\d+ keys/)
    expect(output).toMatch(/HOT SLOTS\n.*\n\d+ +[\d.]+ ms of CPU/)
    expect(output).not.toContain('only its own keys')
    const told = JSON.parse((await cli(['analyze', '-s', cluster.url, '--json'])).output)
    expect(told.survey.shards).toHaveLength(3)
    const keys = told.survey.shards.reduce((sum: number, shard: { keys: number }) => sum + shard.keys, 0)
    expect(keys).toBe(await count(cluster))
  })

  it('the plan counts the keys of primaries and of the fullest slot', async () => {
    const { code, output } = await cli(['migrate', '-s', cluster.url, '-t', target.url, '--dry-run'])
    expect(code).toBe(0)
    expect(output).toMatch(
      /a cluster of 3 primaries: .* slots, \d+ keys? \(\d+%\); .*its fullest slot, \d+, has \d+ key/,
    )
  })

  it('doctor, migrate, verify, compare and verify-hash', async () => {
    const ends = ['-s', cluster.url, '-t', target.url]
    expect(await cli(['doctor', ...ends])).toMatchObject({ code: 0, output: expect.stringContaining('would start') })
    expect(await cli(['migrate', ...ends, '-m', 'snapshot', '--state-dir', stateDir()])).toMatchObject({ code: 0 })
    expect(await between(cluster, target)).toEqual([])
    expect(await cli(['verify', ...ends])).toMatchObject({ code: 0, output: expect.stringContaining('VERIFIED') })
    for (const read of ['snapshots', 'keys'])
      expect(await cli(['verify', ...ends, '--read', read])).toMatchObject({ code: 0 })
    expect(await cli(['compare', ...ends])).toMatchObject({ code: 0, output: expect.stringContaining('EQUAL') })
    const hashed = await cli(['verify-hash', ...ends, '--full'])
    expect(hashed).toMatchObject({ code: 0, output: expect.stringContaining('VERIFIED') })
    await at(target, 'SET', 'extra', '1')
    expect(await cli(['verify', ...ends])).toMatchObject({ code: 3 })
    expect(await cli(['compare', ...ends])).toMatchObject({ code: 3 })
    expect(await cli(['verify-hash', ...ends, '--full'])).toMatchObject({ code: 3 })
    const once = ['-m', 'incremental', '--once', '--delete-extra', '--state-dir', stateDir()]
    expect(await cli(['migrate', ...ends, ...once])).toMatchObject({ code: 0 })
    expect(await between(cluster, target)).toEqual([])
  })

  it('export and import, each key once', async () => {
    const ndjson = file('x.ndjson')
    const rdb = file('x.rdb')
    expect(await cli(['export', '-s', cluster.url, '-o', ndjson])).toMatchObject({ code: 0 })
    expect(await cli(['export', '-s', cluster.url, '-o', rdb])).toMatchObject({ code: 0 })
    const names = lines(ndjson).map(({ key }) => key)
    expect(new Set(names).size).toBe(names.length)
    expect(names.length).toBe(await count(cluster))
    for (const node of await target.primaries()) await node.command('FLUSHALL')
    expect(await cli(['import-rdb', rdb, '-t', target.url, '--state-dir', stateDir()])).toMatchObject({ code: 0 })
    expect(await between(cluster, target)).toEqual([])
  })

  it('export while slots move has every key once', async () => {
    const random = new Random(5)
    const names = lines(await exported()).map(({ key }) => key)
    for (let round = 0; round < 3; round++) {
      const [found] = await Promise.all([exported().then(lines), moveSlots(cluster, random, 2000)])
      const seen = found.map(({ key }) => key)
      expect(new Set(seen).size).toBe(seen.length)
      expect(names.filter((name) => !seen.includes(name))).toEqual([])
    }
    async function exported(): Promise<string> {
      const path = file('x.ndjson')
      expect(await cli(['export', '-s', cluster.url, '-o', path])).toMatchObject({ code: 0 })
      return path
    }
  })

  it('benchmark, by all primaries, which are clean afterwards', async () => {
    const empty = await start()
    const before = await count(cluster)
    const args = ['-s', cluster.url, '-t', empty.url, '-n', '2000', '--keyspace', '500', '--commands', 'SET,GET,XADD']
    const { code, output } = await cli(['benchmark', ...args, '--json'])
    expect(code).toBe(0)
    expect(JSON.parse(output).results).toHaveLength(3)
    expect(await count(cluster)).toBe(before)
    const [{ port }] = await cluster.primaries()
    const node = `redis://127.0.0.1:${port}`
    expect(await cli(['benchmark', '-s', node, '-t', empty.url, '-n', '500', '--keyspace', '50'])).toMatchObject({
      code: 0,
    })
    expect(await count(cluster)).toBe(before)
    const single = ['-s', node, '-t', empty.url, '-n', '500', '--keyspace', '50', '--source-option', 'cluster=node']
    expect(await cli(['benchmark', ...single])).toMatchObject({
      code: 1,
      output: expect.stringMatching(/FM_BENCHMARK_REFUSED.*MOVED/s),
    })
  })

  it('rollback gives back what the cluster held', async () => {
    const state = stateDir()
    const before = await count(target)
    await at(target, 'SET', 'mine', 'before')
    await at(cluster, 'SET', 'mine', 'after')
    const run = migration({ source: cluster.url, target: target.url, mode: 'snapshot', stateDir: state, undo: true })
    await run.start()
    expect(await cli(['rollback', '--id', run.id, '--yes', '--state-dir', state])).toMatchObject({ code: 0 })
    expect(await at(target, 'GET', 'mine')).toBe('before')
    expect(await count(target)).toBe(before + 1)
  })
})
