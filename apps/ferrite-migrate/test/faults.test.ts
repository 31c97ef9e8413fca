import { setTimeout as sleep } from 'node:timers/promises'
import { Random } from '@ferrite-migrate/bench'
import { parseEndpoint, RedisLink } from '@ferrite-migrate/redis'
import { TestServer, until } from '@ferrite-migrate/servers'
import { afterEach, describe, expect, it } from 'vitest'
import { caughtUp, command, differences, migration } from './run.js'
import { runWorkload } from './workload.js'

const servers: TestServer[] = []
async function start(options = {}): Promise<TestServer> {
  const server = await TestServer.start(options)
  servers.push(server)
  return server
}
afterEach(async () => {
  for (const server of servers.splice(0)) await server.stop()
})

describe('faults under a writer', () => {
  it('a link that the source cuts again and again is resumed without loss or doubling', async () => {
    const source = await start({ args: ['--repl-backlog-size', '64mb'] })
    const target = await start()
    const run = migration({ source: source.url, target: target.url })
    const done = run.start()
    const workload = runWorkload(parseEndpoint(source.url), 6, 21)
    const random = new Random(5)
    for (let cut = 0; cut < 20; cut++) {
      await sleep(random.between(50, 400))
      await command(source.url, 'CLIENT', 'KILL', 'TYPE', 'replica')
    }
    await workload
    await caughtUp(run, source.url)
    run.stop()
    const report = await done
    expect(report.notes.filter((note) => note.type === 'resync')).toEqual([])
    expect(await differences(source.url, target.url)).toEqual([])
  })

  it('a full resync in the middle deletes what vanished meanwhile', async () => {
    const source = await start({ args: ['--repl-backlog-size', '16kb'] })
    const target = await start()
    const run = migration({ source: source.url, target: target.url })
    const done = run.start()
    await command(source.url, 'SET', 'vanishes', '1')
    await caughtUp(run, source.url)
    // Everything happens on the source alone, atomically, while the link is down and the backlog turns over.
    await command(
      source.url,
      'EVAL',
      "redis.call('DEL', 'vanishes'); for i = 1, 30000 do redis.call('INCR', 'counter') end",
      0,
    )
    await command(source.url, 'CLIENT', 'KILL', 'TYPE', 'replica')
    const link = await RedisLink.open(parseEndpoint(source.url))
    await link.pipeline((out) => {
      for (let i = 0; i < 5000; i++) out.call('SET', `filler:${i % 50}`, 'x'.repeat(200))
      return 5000
    })
    link.close()
    await caughtUp(run, source.url)
    run.stop()
    await done
    expect(await differences(source.url, target.url)).toEqual([])
  })

  it.each([
    ['replay', 3],
    ['state', 2],
  ] as const)('a target that is killed and comes back has lost and doubled nothing, by %s', async (apply, kills) => {
    const source = await start({ args: ['--repl-backlog-size', '64mb'] })
    const target = await start({ persistent: true })
    const run = migration({ source: source.url, target: target.url, apply })
    const done = run.start()
    const workload = runWorkload(parseEndpoint(source.url), 1 + 2 * kills, 22)
    for (let kill = 0; kill < kills; kill++) {
      await sleep(1300)
      await target.kill()
      await sleep(300)
      await target.launch()
    }
    await workload
    await caughtUp(run, source.url)
    run.stop()
    const report = await done
    expect(report.notes.some((note) => note.type === 'target-lost')).toBe(true)
    expect(await differences(source.url, target.url)).toEqual([])
  })

  it('a target that stands still costs the source no output buffer and nothing is lost', async () => {
    const source = await start()
    const target = await start()
    const run = migration({ source: source.url, target: target.url })
    const done = run.start()
    await caughtUp(run, source.url)
    target.signal('SIGSTOP')
    const workload = runWorkload(parseEndpoint(source.url), 5, 23, [], 20_000)
    await sleep(4000)
    await until(async () => {
      const clients = String(await command(source.url, 'CLIENT', 'LIST', 'TYPE', 'replica'))
      return Number(/omem=(\d+)/.exec(clients)?.[1] ?? Number.NaN) < 1 << 20
    }, 'a small output buffer at the source')
    target.signal('SIGCONT')
    await workload
    await caughtUp(run, source.url)
    run.stop()
    await done
    expect(await differences(source.url, target.url)).toEqual([])
  })

  it('short expiries that the source renews survive a slow target', async () => {
    const source = await start()
    const target = await start()
    const link = await RedisLink.open(parseEndpoint(source.url))
    await link.pipeline((out) => {
      for (let i = 0; i < 200; i++) out.call('SET', `session:${i}`, String(i), 'PX', '4000')
      return 200
    })
    target.signal('SIGSTOP')
    const run = migration({ source: source.url, target: target.url })
    setTimeout(() => target.signal('SIGCONT'), 6000)
    const done = run.start()
    for (let round = 0; round < 12; round++) {
      await sleep(600)
      await link.pipeline((out) => {
        for (let i = 0; i < 200; i++) out.call('PEXPIRE', `session:${i}`, '4000')
        return 200
      })
    }
    await link.pipeline((out) => {
      for (let i = 0; i < 200; i++) out.call('PEXPIRE', `session:${i}`, '600000')
      return 200
    })
    link.close()
    await caughtUp(run, source.url)
    run.stop()
    await done
    expect(await command(source.url, 'DBSIZE')).toBe(201)
    expect(await differences(source.url, target.url)).toEqual([])
  })
})
