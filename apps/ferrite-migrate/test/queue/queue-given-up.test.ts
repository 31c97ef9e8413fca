import { type TestNode, type TestServer, until } from '@ferrite-migrate/servers'
import { describe, expect, it } from 'vitest'
import { command, stateDir } from '../run.js'
import { start, stops } from '../servers.js'
import { cli, Tool } from '../tool.js'
import { allHeld, Machine, queueUrl, signs, startQueue } from './machines.js'

const at = (queue: TestNode, directory = stateDir()) => ['--queue', queueUrl(queue), '--state-dir', directory]

async function keysOf(target: TestServer): Promise<string[]> {
  const keys = ((await command(target.url, 'KEYS', '*')) as Buffer[]).map(String)
  return keys.filter((key) => !key.startsWith('__ferrite_migrate__:'))
}

/** Jobs that a worker has, or could take. */
async function jobs(queue: TestNode): Promise<number> {
  const counts = await Promise.all([
    command(queueUrl(queue), 'LLEN', '{ferrite-migrate}:shards:active'),
    command(queueUrl(queue), 'LLEN', '{ferrite-migrate}:shards:wait'),
    command(queueUrl(queue), 'ZCARD', '{ferrite-migrate}:shards:delayed'),
  ])
  return counts.reduce<number>((sum, count) => sum + Number(count), 0)
}

async function begun(id: string): Promise<{ queue: TestNode; target: TestServer; machine: Machine }> {
  const [queue, source, target] = await Promise.all([startQueue(), start(), start()])
  await command(source.url, 'EVAL', `for i=1,500 do redis.call('SET', 'k' .. i, i) end`, 0)
  const machine = new Machine('m1', queue, 1)
  const detached = await cli(['migrate', '-s', source.url, '-t', target.url, '--id', id, '--detach', ...at(queue)])
  expect(detached).toMatchObject({ code: 0 })
  await until(async () => (await keysOf(target)).length === 500, 'the copy')
  return { queue, target, machine }
}

describe('a migration that is given up while all of its workers are away', () => {
  it.each(['rollback', 'stop'])(
    'stays so when they come back (%s)',
    async (how) => {
      const { queue, target, machine } = await begun('a')
      await machine.stop()
      await until(async () => (await cli(['list', ...at(queue)])).output.includes('INTERRUPTED'), 'nobody')
      const given = await cli([how, '--id', 'a', ...(how === 'rollback' ? ['--yes'] : []), ...at(queue)])
      expect(given).toMatchObject({ code: 0 })
      const before = await keysOf(target)
      expect(before).toHaveLength(how === 'rollback' ? 0 : 500)
      expect(await jobs(queue)).toBe(1)
      new Machine('m2', queue, 1)
      await until(async () => (await jobs(queue)) === 0, 'the job is looked at')
      await until(async () => (await signs(queue)).every(({ migration }) => migration === null), 'a worker that waits')
      expect(await keysOf(target)).toHaveLength(before.length)
      if (how === 'rollback') return
      const again = await cli(['migrate', '--resume', 'a', '--exit', '--verify', ...at(queue)])
      expect(again).toMatchObject({ code: 0, output: expect.stringContaining('VERIFIED') })
    },
    120_000,
  )

  it('is so as well right after the process that followed it was killed', async () => {
    const [queue, source, target] = await Promise.all([startQueue(), start(), start()])
    await command(source.url, 'EVAL', `for i=1,500 do redis.call('SET', 'k' .. i, i) end`, 0)
    new Machine('m1', queue, 1)
    const tool = new Tool(['migrate', '-s', source.url, '-t', target.url, '--id', 'b', ...at(queue)])
    stops.push(() => tool.kill())
    await tool.says('LIVE_SYNC')
    await allHeld(queue, 'b', 1)
    await tool.kill()
    const paused = await cli(['pause', '--id', 'b', ...at(queue)])
    expect(paused).toMatchObject({ code: 0, output: expect.stringMatching(/resume --id b .*--queue/) })
    expect(await cli(['resume', '--id', 'b', ...at(queue)])).toMatchObject({ code: 0 })
    expect(await cli(['rollback', '--id', 'b', '--yes', ...at(queue)])).toMatchObject({ code: 0 })
    expect(await keysOf(target)).toEqual([])
    expect((await cli(['status', '--id', 'b', '--json', ...at(queue)])).output).toContain('"ROLLED_BACK"')
  }, 120_000)
})
