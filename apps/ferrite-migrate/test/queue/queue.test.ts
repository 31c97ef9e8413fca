import { setTimeout as sleep } from 'node:timers/promises'
import { type TestServer, until } from '@ferrite-migrate/servers'
import { describe, expect, it } from 'vitest'
import { between } from '../clusters.js'
import { command, stateDir } from '../run.js'
import { start, stops } from '../servers.js'
import { cli, Tool } from '../tool.js'
import { eachHeld, holders, Machine, queueUrl, startQueue } from './machines.js'

const PASSWORD = 's3cret-of-the-target'

/** Counts up keys one after the other until it is stopped. */
function counting(server: TestServer): () => Promise<void> {
  let on = true
  const work = (async () => {
    while (on) {
      await command(server.url, 'EVAL', `for i=1,50 do redis.call('INCR', 'c' .. math.random(200)) end`, 0)
      await sleep(20)
    }
  })()
  return async () => {
    on = false
    await work
  }
}

describe('a migration by a queue', () => {
  it('goes on without anybody who follows it, and does what is asked from anywhere', async () => {
    const [queue, source, target] = await Promise.all([
      startQueue(),
      start(),
      start({ args: ['--requirepass', PASSWORD] }),
    ])
    await command(source.url, 'EVAL', `for i=1,5000 do redis.call('SET', 'k' .. i, i) end`, 0)
    const secret = { FERRITE_MIGRATE_TARGET_PASSWORD: PASSWORD }
    const machines = ['m1', 'm2'].map((name) => new Machine(name, queue, 1, secret))
    const at = (directory = stateDir()) => ['--queue', queueUrl(queue), '--state-dir', directory]
    const withPassword = target.url.replace('redis://', `redis://:${PASSWORD}@`)
    const begun = await cli(['migrate', '-s', source.url, '-t', withPassword, '--id', 'q', '--detach', ...at()])
    expect(begun).toMatchObject({ code: 0, output: expect.stringContaining('go on with q') })
    await eachHeld(queue, 'q', 1)
    const stop = counting(source)
    await until(async () => (await cli(['status', '--id', 'q', ...at()])).output.includes('Nobody follows'), 'workers')

    // No part of a password is where the machines share what they know.
    const kept: string[] = []
    for (const key of (await command(queueUrl(queue), 'KEYS', '*')) as Buffer[])
      kept.push(String(await command(queueUrl(queue), 'DUMP', key)))
    expect(kept.length).toBeGreaterThan(5)
    expect(kept.filter((text) => text.includes(PASSWORD))).toEqual([])

    expect(await cli(['pause', '--id', 'q', ...at()], secret)).toMatchObject({ code: 0 })
    const paused = String(await command(withPassword, 'GET', 'c1'))
    await sleep(500)
    expect(String(await command(withPassword, 'GET', 'c1'))).toBe(paused)
    expect(await cli(['resume', '--id', 'q', ...at()], secret)).toMatchObject({ code: 0 })
    // The machine that has it is lost, and there is no other process.
    const [{ by, epoch }] = [...(await holders(queue, 'q')).values()]
    const lost = machines.find(({ name }) => by.startsWith(`${name}.`))
    await lost?.stop()
    await until(async () => ([...(await holders(queue, 'q')).values()][0]?.epoch ?? 0) > epoch, 'a takeover')
    const cut = await cli(['cutover', '--id', 'q', '--yes', '--verify', ...at()], secret)
    expect(cut).toMatchObject({ code: 0, output: expect.stringContaining('CUT OVER') })
    await stop()
    const listed = await cli(['list', '--json', ...at()])
    expect(JSON.parse(listed.output)).toMatchObject({
      migrations: [{ id: 'q', status: { state: 'COMPLETED', keysDone: expect.any(Number) } }],
    })
    const { keysDone } = (JSON.parse(listed.output) as { migrations: { status: { keysDone: number } }[] }).migrations[0]
      .status
    expect(keysDone).toBeGreaterThanOrEqual(5000)
    // Nothing of the tool is left at the target.
    const left = (await command(withPassword, 'KEYS', '__ferrite_migrate__:*')) as Buffer[]
    expect(left.map(String).filter((key) => !key.endsWith(':running'))).toEqual([])
  }, 240_000)

  it('is equal when a worker is told to leave, which gives its shard to another at once', async () => {
    const [queue, source, target] = await Promise.all([startQueue(), start(), start()])
    await command(source.url, 'EVAL', `for i=1,5000 do redis.call('SET', 'k' .. i, i) end`, 0)
    const machines = ['m1', 'm2'].map((name) => new Machine(name, queue, 1))
    const tool = new Tool([
      'migrate',
      '-s',
      source.url,
      '-t',
      target.url,
      '--id',
      'q',
      '--queue',
      queueUrl(queue),
      '--state-dir',
      stateDir(),
    ])
    stops.push(() => tool.kill())
    await tool.says('LIVE_SYNC')
    const stop = counting(source)
    const [{ by }] = [...(await holders(queue, 'q')).values()]
    await machines.find(({ name }) => by.startsWith(`${name}.`))?.leave()
    await until(async () => [...(await holders(queue, 'q')).values()][0]?.by !== by, 'another worker')
    await tool.says('has given it back')
    await stop()
    await until(async () => (await between(source, target)).length === 0, 'equality')
    const other = ['--queue', queueUrl(queue), '--state-dir', stateDir(), '--id', 'q']
    expect(await cli(['cutover', ...other, '--scheduled', '2099-01-01T00:00:00Z'])).toMatchObject({
      code: 1,
      output: expect.stringContaining('FM_QUEUE_SCHEDULE'),
    })
    // Taken back from one machine, which stops it before, it is so for all.
    expect(await cli(['rollback', ...other, '--yes'])).toMatchObject({ code: 0 })
    expect(await tool.over).toBe(130)
    const third = ['--queue', queueUrl(queue), '--state-dir', stateDir(), '--id', 'q']
    expect((await cli(['status', ...third, '--json'])).output).toContain('"ROLLED_BACK"')
    expect((await cli(['status', ...third])).output).not.toMatch(/Workers|follows/)
    expect(Number(await command(target.url, 'DBSIZE'))).toBe(0)
  }, 120_000)

  it('that is paused goes on after its worker was lost, when it is told to, and ends when it is stopped', async () => {
    const [queue, source, target] = await Promise.all([startQueue(), start(), start()])
    const machines = ['m1', 'm2'].map((name) => new Machine(name, queue, 1))
    const at = ['--queue', queueUrl(queue), '--state-dir', stateDir()]
    const counter = async (url: string) => Number(await command(url, 'GET', 'c1'))
    const begin = await cli(['migrate', '-s', source.url, '-t', target.url, '--id', 'q', '--detach', ...at])
    expect(begin).toMatchObject({ code: 0 })
    await eachHeld(queue, 'q', 1)
    const stop = counting(source)
    // What the workers have kept tells where it stands, although nobody follows it.
    await until(async () => (await cli(['status', '--id', 'q', ...at])).output.includes('LIVE_SYNC'), 'a phase')
    expect(await cli(['pause', '--id', 'q', ...at])).toMatchObject({ code: 0 })
    const [{ pid, epoch, by }] = [...(await holders(queue, 'q')).values()]
    process.kill(pid, 'SIGKILL')
    await until(async () => ([...(await holders(queue, 'q')).values()][0]?.epoch ?? 0) > epoch, 'a takeover')
    // Whoever resumes it hears of the takeover at the same moment.
    expect(await cli(['resume', '--id', 'q', ...at])).toMatchObject({ code: 0 })
    const before = await counter(target.url)
    await until(async () => (await counter(target.url)) > before, `changes after ${by} was lost`)
    const tool = new Tool(['migrate', '--resume', 'q', ...at])
    stops.push(() => tool.kill())
    await tool.says('LIVE_SYNC')
    expect(await cli(['pause', '--id', 'q', ...at])).toMatchObject({ code: 0 })
    await sleep(300)
    tool.child.kill('SIGINT')
    expect(await tool.over).toBe(130)
    await stop()
    expect((await cli(['list', ...at])).output).toContain('INTERRUPTED')
    const again = await cli(['migrate', '--resume', 'q', '--exit', '--verify', ...at])
    expect(again).toMatchObject({ code: 0, output: expect.stringContaining('VERIFIED') })
    expect(machines).toHaveLength(2)
  }, 240_000)

  it('is refused where the queue may forget, is one of the ends, or is not there', async () => {
    const [source, target] = await Promise.all([start(), start({ args: ['--maxmemory-policy', 'allkeys-lru'] })])
    const plan = (queue: string) =>
      cli(['migrate', '-s', source.url, '-t', target.url, '--queue', queue, '--dry-run', '--state-dir', stateDir()])
    expect(await plan(source.url)).toMatchObject({ code: 4, output: expect.stringContaining('server of the source') })
    expect(await plan(target.url)).toMatchObject({ code: 4, output: expect.stringContaining('noeviction') })
    expect(await plan('redis://127.0.0.1:1')).toMatchObject({
      code: 1,
      output: expect.stringContaining('FM_QUEUE_AWAY'),
    })
    expect(await cli(['worker', '--queue', target.url])).toMatchObject({ code: 4 })
    await command(target.url, 'SET', 'other', '1')
    const queue = await startQueue()
    const kept = await cli([
      'migrate',
      '-s',
      source.url,
      '-t',
      target.url,
      '--detach',
      '--queue',
      queueUrl(queue),
      '--state-dir',
      stateDir(),
    ])
    expect(kept).toMatchObject({ code: 4, output: expect.stringContaining('--no-undo') })
    expect(await cli(['worker'])).toMatchObject({ code: 2, output: expect.stringContaining('--queue') })
  }, 60_000)
})
