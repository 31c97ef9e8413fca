import { resolve } from 'node:path'
import { MigrationClient } from '@ferrite-migrate/api/client'
import { until } from '@ferrite-migrate/servers'
import { describe, expect, it } from 'vitest'
import { between, startCluster } from '../clusters.js'
import { command, stateDir } from '../run.js'
import { start, stops } from '../servers.js'
import { Tool } from '../tool.js'
import { eachHeld, holders, Machine, queueUrl, startQueue } from './machines.js'

const BIN = resolve(import.meta.dirname, '..', '..', 'bin', 'run.js')

describe('programs and a queue', () => {
  it('begin, compare, watch and take back what workers of several machines run', async () => {
    const [queue, source, target] = await Promise.all([
      startQueue(),
      startCluster(undefined, { replicas: 0 }),
      startCluster(undefined, { replicas: 0 }),
    ])
    for (let i = 0; i < 900; i++)
      await source.command(source.nodes[i % 3], 'SET', `k${i}`, `v${i}`).catch(() => undefined)
    const machines = ['m1', 'm2'].map((name) => new Machine(name, queue, 2))
    const client = await MigrationClient.open({
      ...{ program: process.execPath, programArguments: [BIN], stateDir: stateDir(), queue: queueUrl(queue) },
    })
    stops.push(() => client.close())
    const config = { source: source.url, target: target.url }
    const { id } = await client.call('migration.start', { config, detach: true })
    await client.call('migration.wait', { id, until: 'complete' })
    await eachHeld(queue, id, 3)
    expect(await client.call('migration.verify', { id })).toMatchObject({ success: true, compared: expect.any(Number) })
    // Each shard was compared where it is run; on a busy machine perhaps once more.
    const compared = machines.flatMap(({ output }) => output.match(/compares the shard \w+ of /g) ?? [])
    expect(new Set(compared).size).toBe(3)

    const worker = ({ samples }: Awaited<ReturnType<typeof measured>>, shard: string) =>
      samples.find(({ name, labels }) => name === 'ferrite_migrate_shard_worker_info' && labels.shard === shard)?.labels
    const measured = () => client.call('migration.metrics', { id })
    const [[shard, { by, pid, epoch }]] = await holders(queue, id)
    await until(async () => worker(await measured(), shard)?.worker === by, 'the worker of a shard')
    process.kill(pid, 'SIGKILL')
    await until(async () => ((await holders(queue, id)).get(shard)?.epoch ?? 0) > epoch, 'a takeover')
    const other = (await holders(queue, id)).get(shard)?.by
    await until(async () => worker(await measured(), shard)?.worker === other, 'the other worker')
    const { samples } = await measured()
    const takeovers = samples.filter(({ name }) => name === 'ferrite_migrate_shard_takeovers_total')
    expect(takeovers).toHaveLength(3)
    expect(takeovers.find(({ labels }) => labels.shard === shard)?.value).toBeGreaterThanOrEqual(1)
    expect(await between(source, target)).toEqual([])
    expect(await client.call('migration.rollback', { id })).toMatchObject({ kept: 0, failed: 0 })
    for (const node of target.nodes) expect(Number(await target.command(node, 'DBSIZE'))).toBe(0)
    // Another machine may use what this one has let go.
    const tool = new Tool([
      ...['migrate', '-s', source.url, '-t', target.url, '--mode', 'snapshot', '--id', 'again'],
      ...['--queue', queueUrl(queue), '--state-dir', stateDir()],
    ])
    expect(await tool.over).toBe(0)
  }, 240_000)

  it('ask migrations that nobody follows', async () => {
    const [queue, source, target] = await Promise.all([startQueue(), start(), start()])
    await command(source.url, 'SET', 'a', '1')
    new Machine('m1', queue, 1)
    const tool = new Tool([
      ...['migrate', '-s', source.url, '-t', target.url, '--id', 'n', '--detach'],
      ...['--queue', queueUrl(queue), '--state-dir', stateDir()],
    ])
    expect(await tool.over).toBe(0)
    await eachHeld(queue, 'n', 1)
    const client = await MigrationClient.open({
      ...{ program: process.execPath, programArguments: [BIN], stateDir: stateDir(), queue: queueUrl(queue) },
    })
    stops.push(() => client.close())
    expect(await client.call('migration.pause', { id: 'n' })).toMatchObject({ paused: true })
    expect(await client.call('migration.resume', { id: 'n' })).toMatchObject({ paused: false })
    const cutover = await client.call('migration.cutover', { id: 'n', holdMs: 0 })
    expect(cutover.downtimeMs).toBeGreaterThanOrEqual(0)
    await until(async () => (await client.call('migration.status', { id: 'n' })).state === 'COMPLETED', 'the end')
  }, 120_000)

  it('collect from each machine what its workers do', async () => {
    const [queue, source, target] = await Promise.all([startQueue(), start(), start()])
    for (let i = 0; i < 50; i++) await command(source.url, 'SET', `k${i}`, 'v')
    const machine = new Tool([
      ...['worker', '--queue', queueUrl(queue), '--state-dir', stateDir(), '--concurrency', '1'],
      ...['--metrics-listen', '0'],
    ])
    await until(() => machine.output.includes('Metrics at '), 'a place for metrics')
    const [place] = /http:\S+/.exec(machine.output) ?? []
    const scraped = async (): Promise<string> => (await fetch(place ?? '')).text()
    expect(await scraped()).not.toContain('ferrite_migrate_')
    const tool = new Tool([
      ...['migrate', '-s', source.url, '-t', target.url, '--id', 'n', '--detach'],
      ...['--queue', queueUrl(queue), '--state-dir', stateDir()],
    ])
    expect(await tool.over).toBe(0)
    await eachHeld(queue, 'n', 1)
    const [[, { by }]] = await holders(queue, 'n')
    const lines = (text: string, name: string): string[] =>
      text.split('\n').filter((line) => line.startsWith(`ferrite_migrate_${name}{`))
    await until(async () => lines(await scraped(), 'keys_written_total')[0]?.endsWith(' 50') === true, 'all keys')
    const text = await scraped()
    expect(lines(text, 'keys_written_total')).toEqual([
      `ferrite_migrate_keys_written_total{migration="n",worker="${by}"} 50`,
    ])
    expect(lines(text, 'shard_lag_bytes')[0]).toContain('shard=')
    // What only somebody knows who sees all shards is told there.
    expect(lines(text, 'phase')).toEqual([])
    machine.child.kill('SIGTERM')
    expect(await machine.over).toBe(0)
  }, 120_000)
})
