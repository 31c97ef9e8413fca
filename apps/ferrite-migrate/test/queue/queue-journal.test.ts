import { type TestServer, until } from '@ferrite-migrate/servers'
import { describe, expect, it } from 'vitest'
import { between } from '../clusters.js'
import { command, stateDir } from '../run.js'
import { start } from '../servers.js'
import { cli } from '../tool.js'
import { allHeld, holders, Machine, queueUrl, startQueue } from './machines.js'

/** Keys of its own, of several types; half of the strings will be overwritten. */
async function fill(server: TestServer): Promise<void> {
  const script = `for i=1,3000 do redis.call('SET', 'k' .. (i * 2), 'before' .. i) end
    for i=1,50 do redis.call('RPUSH', 'l' .. i, 'a', 'b', i) redis.call('HSET', 'h' .. i, 'f', i) end
    for i=1,50 do redis.call('SET', 'e' .. i, i, 'PXAT', 4102444800000) end
    redis.call('SET', 'only', 'target') redis.call('SET', 'c1', '1000')`
  await command(server.url, 'EVAL', script, 0)
}

describe('an undo journal that a queue keeps', () => {
  it('gives back what was there, whichever machine is lost', async () => {
    const [queue, source, target, before] = await Promise.all([startQueue(), start(), start(), start()])
    await Promise.all([fill(target), fill(before)])
    const write = `for i=1,5000 do redis.call('SET', 'k' .. i, i) end
      for i=1,50 do redis.call('SET', 'l' .. i, i) redis.call('HSET', 'h' .. i, 'g', i) redis.call('SET', 'e' .. i, 'x') end`
    await command(source.url, 'EVAL', write, 0)
    const machines = ['m1', 'm2'].map((name) => new Machine(name, queue, 1))
    const at = (directory = stateDir()) => ['--queue', queueUrl(queue), '--state-dir', directory]
    const migrate = ['migrate', '-s', source.url, '-t', target.url, '--id', 'j', '--detach']

    const refused = await cli([...migrate, ...at()])
    expect(refused).toMatchObject({ code: 4, output: expect.stringContaining('--journal shared') })
    expect(await between(before, target)).toEqual([])

    expect(await cli([...migrate, '--journal', 'shared', ...at()])).toMatchObject({ code: 0 })
    await allHeld(queue, 'j', 1)
    await until(async () => String(await command(target.url, 'GET', 'k5000')) === '5000', 'the copy')
    // What the one has overwritten is no former value for the other.
    const [{ by, epoch }] = [...(await holders(queue, 'j')).values()]
    await machines.find(({ name }) => by.startsWith(`${name}.`))?.stop()
    await until(async () => ([...(await holders(queue, 'j')).values()][0]?.epoch ?? 0) > epoch, 'a takeover')
    await command(
      source.url,
      'EVAL',
      `for i=1,200 do redis.call('INCR', 'c' .. i) redis.call('SET', 'k' .. i, 'again') end`,
      0,
    )
    await command(source.url, 'DEL', 'k10', 'k11', 'l3')
    await until(async () => (await command(target.url, 'EXISTS', 'c200', 'l3')) === 1, 'the changes')
    const compared = await cli(['verify', '--id', 'j', ...at()])
    expect(compared).toEqual({ code: 0, output: expect.stringContaining('VERIFIED') })

    const dry = await cli(['rollback', '--id', 'j', '--dry-run', ...at()])
    expect(dry.output).toMatch(/running|Stop it first/)
    const back = await cli(['rollback', '--id', 'j', '--yes', '--json', ...at()])
    expect(back).toMatchObject({ code: 0 })
    expect(JSON.parse(back.output.slice(back.output.indexOf('{')))).toMatchObject({ kept: 0, failed: 0 })
    expect(await between(before, target)).toEqual([])
    // Nothing of it is left in the queue.
    expect(await command(queueUrl(queue), 'KEYS', '*undo*')).toEqual([])
  }, 240_000)

  it('that its server has lost is not taken for an empty one', async () => {
    const [queue, source, target] = await Promise.all([startQueue(), start(), start()])
    await fill(target)
    await command(source.url, 'SET', 'k2', 'new')
    new Machine('m1', queue, 1)
    const at = (directory = stateDir()) => ['--queue', queueUrl(queue), '--state-dir', directory]
    const done = await cli([
      ...['migrate', '-s', source.url, '-t', target.url, '--mode', 'snapshot', '--id', 'x', '--journal', 'shared'],
      ...at(),
    ])
    expect(done).toMatchObject({ code: 0 })
    const taken = await cli([
      ...['migrate', '-s', source.url, '-t', target.url, '--mode', 'snapshot', '--id', 'x', '--journal', 'shared'],
      ...at(),
    ])
    expect(taken).toMatchObject({ code: 2, output: expect.stringContaining('FM_ID_TAKEN') })
    await command(
      queueUrl(queue),
      'EVAL',
      `for _, k in ipairs(redis.call('KEYS', '*undo*')) do redis.call('DEL', k) end`,
      0,
    )
    const back = await cli(['rollback', '--id', 'x', '--yes', ...at()])
    expect(back).toMatchObject({ code: 1, output: expect.stringContaining('FM_ROLLBACK_NO_JOURNAL') })
    expect(String(await command(target.url, 'GET', 'k2'))).toBe('new')
  }, 120_000)

  it('needs a queue', async () => {
    const [source, target] = await Promise.all([start(), start()])
    const args = ['migrate', '-s', source.url, '-t', target.url, '--journal', 'shared', '--state-dir', stateDir()]
    expect(await cli(args)).toMatchObject({ code: 2, output: expect.stringContaining('--queue') })
  })
})
