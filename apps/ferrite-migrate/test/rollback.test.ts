import { setTimeout as sleep } from 'node:timers/promises'
import { FerriteEmulator } from '@ferrite-migrate/ferrite-emulator'
import { parseEndpoint, RedisLink } from '@ferrite-migrate/redis'
import { describe, expect, it } from 'vitest'
import { caughtUp, command, differences, migration, stateDir } from './run.js'
import { start, stops } from './servers.js'
import { cli, Tool } from './tool.js'
import { runWorkload } from './workload.js'

/** Every type, some with an expiry, in two databases. */
async function fill(url: string, tag: string, keys = 300): Promise<void> {
  const link = await RedisLink.open(parseEndpoint(url))
  await link.pipeline((out) => {
    for (let i = 0; i < keys; i++) {
      out.call('SET', `s:${i}`, `${tag} ${i}`, ...(i % 3 === 0 ? ['EX', 5000 + i] : []))
      out.call('HSET', `h:${i}`, 'f', `${tag} ${i}`, tag, '1')
      out.call('RPUSH', `l:${i}`, tag, i, 'x')
      out.call('SADD', `set:${i}`, tag, i)
      out.call('ZADD', `z:${i}`, i / 7, tag)
      out.call('XADD', `x:${i}`, '*', 'f', tag)
    }
    out.call('SELECT', 3)
    out.call('SET', Buffer.from([0, 255, 13, 10]), tag)
    out.call('SELECT', 0)
    return keys * 6 + 3
  })
  link.close()
}

async function sizeOf(url: string): Promise<number> {
  return Number(await command(url, 'DBSIZE'))
}

describe('rollback', () => {
  it('gives a target back every value and expiry that a live migration changed, created or deleted', async () => {
    const source = await start({ args: ['--repl-backlog-size', '64mb'] })
    const target = await start()
    const before = await start()
    await fill(source.url, 'new', 400)
    await fill(target.url, 'old', 300)
    await fill(before.url, 'unused', 1)
    for (const one of [target, before]) {
      await command(one.url, 'SET', 'only-at-target', 'stays')
      await command(one.url, 'SET', 's:doomed', 'former', 'EX', 9000)
    }
    // A second server holds what the target was, copied by the tool itself.
    await migration({ source: target.url, target: before.url, mode: 'snapshot' }).start()
    await command(before.url, 'DEL', 'x:unused')
    const state = stateDir()
    const run = migration({ source: source.url, target: target.url, id: 'm', stateDir: state })
    const done = run.start()
    const workload = runWorkload(parseEndpoint(source.url), 3, 77, [
      [
        ['SET', 's:doomed', '1'],
        ['DEL', 's:doomed'],
      ],
      [['SELECT', '3'], ['FLUSHDB'], ['SELECT', '0']],
      [
        ['SWAPDB', '0', '1'],
        ['SET', 'swapped', '1'],
        ['SWAPDB', '0', '1'],
      ],
    ])
    await workload
    await caughtUp(run, source.url)
    run.stop()
    await done
    expect(String(await command(target.url, 'GET', 's:1'))).not.toBe('old 1')
    const dry = await cli(['rollback', '--id', 'm', '--dry-run', '--state-dir', state])
    expect([dry.code, dry.output]).toEqual([0, expect.stringContaining('nothing was changed')])
    const rolled = await cli(['rollback', '--id', 'm', '--force', '--state-dir', state])
    expect([rolled.code, rolled.output]).toEqual([0, expect.stringContaining('RESULT: ✅ ROLLED BACK')])
    expect(await differences(before.url, target.url)).toEqual([])
    const status = JSON.parse((await cli(['status', '--id', 'm', '--json', '--state-dir', state])).output)
    expect(status).toMatchObject({ state: 'ROLLED_BACK', phase: 'ROLLED_BACK' })
    const again = await cli(['rollback', '--id', 'm', '--state-dir', state])
    expect([again.code, again.output]).toEqual([2, expect.stringContaining('FM_ROLLBACK_DONE')])
  })

  it('empties a target that was empty, leaves what others wrote, and takes that too with --force', async () => {
    const source = await start()
    const target = await start()
    await fill(source.url, 'new', 200)
    const state = stateDir()
    await migration({ source: source.url, target: target.url, id: 'm', mode: 'snapshot', stateDir: state }).start()
    await command(target.url, 'SET', 's:5', 'written by the application since')
    await command(target.url, 'SET', 'their-own', '1')
    const rolled = await cli(['rollback', '--id', 'm', '--state-dir', state])
    expect([rolled.code, rolled.output]).toEqual([
      0,
      expect.stringMatching(/Left alone:\s+2\n[\s\S]*s:5[\s\S]*|Left alone:\s+2\n[\s\S]*their-own/),
    ])
    expect(await sizeOf(target.url)).toBe(2)
    expect(String(await command(target.url, 'GET', 's:5'))).toBe('written by the application since')
  })

  it('stops a running migration first', async () => {
    const source = await start()
    const target = await start()
    await fill(source.url, 'new', 50)
    const state = ['--state-dir', stateDir()]
    const tool = new Tool(['migrate', '--id', 'm', '-s', source.url, '-t', target.url, ...state])
    stops.push(() => tool.kill())
    await tool.says('LIVE_SYNC')
    const rolled = await cli(['rollback', '--id', 'm', ...state])
    expect([rolled.code, rolled.output]).toEqual([0, expect.stringContaining('ROLLED BACK')])
    expect(await tool.over).toBe(130)
    expect(await sizeOf(target.url)).toBe(0)
    const resumed = await cli(['migrate', '--resume', 'm', ...state])
    expect([resumed.code, resumed.output]).toEqual([2, expect.stringContaining('FM_RESUME_OVER')])
  })

  it('goes on after it was killed in the middle', async () => {
    const source = await start()
    const target = await start()
    const before = await start()
    await fill(target.url, 'old', 3000)
    await migration({ source: target.url, target: before.url, mode: 'snapshot' }).start()
    await fill(source.url, 'new', 3500)
    const state = stateDir()
    await migration({ source: source.url, target: target.url, id: 'm', mode: 'snapshot', stateDir: state }).start()
    for (let kill = 0; kill < 3; kill++) {
      const tool = new Tool(['rollback', '--id', 'm', '--state-dir', state])
      await Promise.race([sleep(350 + kill * 100), tool.over])
      await tool.kill()
    }
    const last = await cli(['rollback', '--id', 'm', '--state-dir', state])
    // Whoever was killed at its very end had done it all: then there is nothing to roll back.
    if (last.code !== 0) expect(last.output).toContain('FM_ROLLBACK_DONE')
    expect(await differences(before.url, target.url)).toEqual([])
  })

  it('says what it cannot do without a journal, and when the source is gone', async () => {
    const source = await start()
    const target = await start()
    await fill(source.url, 'new', 20)
    await command(target.url, 'SET', 'theirs', '1')
    const state = stateDir()
    await migration({
      source: source.url,
      target: target.url,
      id: 'm',
      mode: 'snapshot',
      undo: false,
      stateDir: state,
    }).start()
    const refused = await cli(['rollback', '--id', 'm', '--state-dir', state])
    expect([refused.code, refused.output]).toEqual([1, expect.stringContaining('FM_ROLLBACK_NO_JOURNAL')])
    await command(target.url, 'FLUSHALL')
    await migration({ source: source.url, target: target.url, id: 'n', mode: 'snapshot', stateDir: state }).start()
    await source.stop()
    const blind = await cli(['rollback', '--id', 'n', '--state-dir', state])
    expect([blind.code, blind.output]).toEqual([1, expect.stringContaining('FM_ROLLBACK_BLIND')])
    const forced = await cli(['rollback', '--id', 'n', '--force', '--state-dir', state])
    expect([forced.code, await sizeOf(target.url)]).toEqual([0, 0])
  })

  it('happens by itself when the run fails', async () => {
    const source = await start()
    const target = await start()
    await fill(source.url, 'new', 2000)
    await command(target.url, 'SET', 's:1', 'former')
    // The user of the target may not write hashes.
    await command(
      target.url,
      'ACL',
      'SETUSER',
      'mover',
      'on',
      '>pw',
      '%R~*',
      '~s:*',
      '~l:*',
      '~__ferrite_migrate__*',
      '&*',
      '+@all',
    )
    const state = ['--state-dir', stateDir()]
    const url = target.url.replace('//', '//mover:pw@')
    const run = await cli([
      'migrate',
      '--id',
      'm',
      '-s',
      source.url,
      '-t',
      url,
      '-m',
      'snapshot',
      '--auto-rollback',
      '--rollback-on-error-rate',
      '0.01',
      ...state,
    ])
    expect([run.code, run.output]).toEqual([1, expect.stringMatching(/FM_AUTH_RIGHTS/)])
    expect(run.output).toContain('ROLLED_BACK')
    expect(String(await command(target.url, 'GET', 's:1'))).toBe('former')
    expect(await sizeOf(target.url)).toBe(1)
  })

  it('puts an emulated Ferrite back', async () => {
    const source = await start()
    const backend = await start()
    const emulator = await FerriteEmulator.start(parseEndpoint(backend.url))
    stops.push(() => emulator.stop())
    await fill(source.url, 'new', 60)
    const at = emulator.url.replace('ferrite', 'redis')
    await command(at, 'SET', 's:1', 'former', 'EX', 5000)
    await command(at, 'RPUSH', 'l:1', 'a')
    await command(at, 'SET', 'theirs', '1')
    const state = stateDir()
    await migration({ source: source.url, target: emulator.url, id: 'm', mode: 'snapshot', stateDir: state }).start()
    const rolled = await cli(['rollback', '--id', 'm', '--state-dir', state])
    expect([rolled.code, rolled.output]).toEqual([0, expect.stringContaining('ROLLED BACK')])
    expect(String(await command(at, 'GET', 's:1'))).toBe('former')
    expect(Number(await command(at, 'TTL', 's:1'))).toBeGreaterThan(4900)
    expect(Number(await command(at, 'DBSIZE'))).toBe(3)
  })
})

it('a rollback undoes nothing in databases that the addresses did not name', async () => {
  for (const mode of [
    ['-m', 'snapshot'],
    ['-m', 'live', '--exit'],
  ]) {
    const [source, target] = [await start(), await start()]
    for (const [db, key, value] of [
      ['0', 'mine', 'of the source'],
      ['0', 'same', 'x'],
      ['3', 'three', '3'],
    ])
      await command(`${source.url}/${db}`, 'SET', key, value)
    await command(target.url, 'MSET', 'mine', 'precious', 'same', 'x')
    const state = ['--state-dir', stateDir()]
    const run = await cli(['migrate', '--id', 'r', '-s', `${source.url}/3`, '-t', `${target.url}/5`, ...mode, ...state])
    expect([run.code, String(await command(`${target.url}/5`, 'GET', 'three'))]).toEqual([0, '3'])
    expect((await cli(['rollback', '--id', 'r', '--yes', ...state])).code).toBe(0)
    expect(String(await command(target.url, 'MGET', 'mine', 'same'))).toBe('precious,x')
    expect(await command(`${target.url}/5`, 'DBSIZE')).toBe(0)
  }
})
