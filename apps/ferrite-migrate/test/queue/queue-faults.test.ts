import { setTimeout as sleep } from 'node:timers/promises'
import { keySlot } from '@ferrite-migrate/protocol'
import { ClusterWriter, Random, until } from '@ferrite-migrate/servers'
import { Redis } from 'ioredis'
import { describe, expect, it } from 'vitest'
import { equal, moveSlots, startCluster } from '../clusters.js'
import { stateDir } from '../run.js'
import { stops } from '../servers.js'
import { cli, Tool } from '../tool.js'
import { allHeld, eachHeld, holders, Machine, queueUrl, startQueue } from './machines.js'
import { WorkerWrites } from './worker-writes.js'

/** `npm run test:faults` has fifty. */
const FAULTS =
  process.env.FERRITE_MIGRATE_KILLS === undefined ? 5 : Number(process.env.FERRITE_MIGRATE_KILLS) > 100 ? 50 : 20
const ID = 'many'

describe('a cluster that four machines migrate', () => {
  it('is equal in the end, whatever dies, freezes or is parted', async () => {
    const [queue, cluster, target] = await Promise.all([
      startQueue(),
      startCluster(undefined, { replicas: 0 }),
      startCluster(undefined, { replicas: 0 }),
    ])
    const writes = await WorkerWrites.watch(target)
    const machines = ['m1', 'm2', 'm3', 'm4'].map((name) => new Machine(name, queue))
    const writer = await ClusterWriter.start(cluster.url, { perSecond: 1000 })
    const state = stateDir()
    const at = ['--queue', queueUrl(queue), '--state-dir', state]
    let tool = new Tool(['migrate', '-s', cluster.url, '-t', target.url, '--mode', 'live', '--id', ID, ...at])
    stops.push(() => tool.kill())
    await tool.says('LIVE_SYNC')
    const random = new Random(FAULTS)
    const sources = (await cluster.primaries()).map(({ port }) => port)
    const targets = (await target.primaries()).map(({ port }) => port)
    const long = (): number => 3000 + random.below(FAULTS > 10 ? 17_000 : 5000)
    const victim = async () => {
      const all = [...(await holders(queue, ID)).values()]
      const one = all[random.below(all.length)]
      const machine = machines.find(({ name }) => one.by.startsWith(`${name}.`))
      if (machine === undefined) throw new Error(`no machine has ${one.by}`)
      return { ...one, machine }
    }
    const cutOff = async (ports: readonly number[]) => {
      const { machine, pid } = await victim()
      machine.cutOff(ports, random.below(2) === 0 ? pid : undefined)
      await sleep(long())
      machine.heal()
    }
    const faults: Record<string, () => Promise<unknown>> = {
      'kill -9 of a process': async () => kill((await victim()).pid, 'SIGKILL'),
      'a frozen process': async () => {
        const { pid } = await victim()
        kill(pid, 'SIGSTOP')
        await sleep(long())
        kill(pid, 'SIGCONT')
      },
      'slots that move': () => moveSlots(cluster, random, 60),
      'a parted queue': () => cutOff([queue.port]),
      'a machine that crashes': async () => (await victim()).machine.crash(),
      'the queue restarted': async () => {
        await queue.kill()
        await queue.restart()
      },
      'a parted source': () => cutOff(sources),
      'a parted target': () => cutOff(targets),
      'the queue away': async () => {
        kill(queue.server.pid, 'SIGSTOP')
        await sleep(FAULTS > 10 ? 30_000 : 7000)
        kill(queue.server.pid, 'SIGCONT')
      },
      'nobody follows': async () => {
        await tool.kill()
        await sleep(random.below(3000))
        tool = new Tool(['migrate', '--resume', ID, ...at])
      },
    }
    const names = Object.keys(faults)
    for (let i = 0; i < FAULTS; i++) {
      const name = names[i < names.length ? i : random.below(names.length)]
      await faults[name]()
      await allHeld(queue, ID, 3).catch((error: Error) => {
        throw new Error(
          `after ${name}: ${error.message}\n${machines.map(({ output }) => output.slice(-1500)).join('\n')}`,
        )
      })
      await sleep(random.below(1500))
    }
    await writer.stop()
    await equal(cluster, target).catch((error: Error) => {
      throw new Error(
        `${error.message}\n${tool.output.slice(-3000)}\n${machines.map(({ output }) => output).join('\n')}`,
      )
    })
    // Never two that write one shard, by what the target saw.
    expect(writes.late()).toEqual([])
    expect(writes.writes).toBeGreaterThan(1000)
    // Others than the first three have written.
    expect(writes.epochs).toBeGreaterThan(3)
    await eachHeld(queue, ID, 3)
    // From a machine that has nothing but the address of the queue.
    const other = ['--queue', queueUrl(queue), '--state-dir', stateDir(), '--id', ID]
    await until(async () => (await cli(['status', ...other])).output.includes('IN_PROGRESS'), 'somebody who follows')
    const cutover = await cli(['cutover', ...other, '--verify', '--yes', '--timeout', '60s'])
    expect(cutover.output).toContain('CUT OVER')
    expect(cutover.code).toBe(0)
    const status = await cli(['status', ...other, '--json'])
    expect(JSON.parse(status.output)).toMatchObject({ state: 'COMPLETED' })
    expect(await tool.over).toBe(0)
  }, 1_500_000)
})

describe('what a target sees of workers', () => {
  it('tells of one that writes after another has taken its place', async () => {
    const target = await startCluster(undefined, { replicas: 0 })
    const writes = await WorkerWrites.watch(target)
    const node = await target.nodeOf(keySlot(Buffer.from('k')))
    const [one, other] = await Promise.all([1, 2].map((epoch) => named(node.port, `tool:m:shard:${epoch}`)))
    await one.set('k', '1')
    await other.set('k', '2')
    await until(() => writes.writes === 2, 'both writes')
    expect(writes.late()).toEqual([])
    await other.set('k', '3')
    await one.get('k')
    await one.set('k', '4')
    await until(() => writes.writes === 4, 'the others')
    expect(writes.late()).toEqual([expect.stringContaining('set k of shard 1')])
    expect(writes.epochs).toBe(2)
  })
})

async function named(port: number, connectionName: string): Promise<Redis> {
  const link = new Redis({ host: '127.0.0.1', port, connectionName })
  stops.push(async () => link.disconnect())
  await link.ping()
  return link
}

/** One that has ended by itself meanwhile is not missed. */
function kill(pid: number | undefined, signal: NodeJS.Signals): void {
  try {
    if (pid !== undefined) process.kill(pid, signal)
  } catch {
    // It is gone.
  }
}
