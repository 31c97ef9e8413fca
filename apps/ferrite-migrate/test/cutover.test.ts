import { createServer } from 'node:http'
import { setTimeout as sleep } from 'node:timers/promises'
import { FerriteEmulator } from '@ferrite-migrate/ferrite-emulator'
import { parseEndpoint, RedisLink } from '@ferrite-migrate/redis'
import { until } from '@ferrite-migrate/servers'
import { describe, expect, it } from 'vitest'
import { command, differences, stateDir } from './run.js'
import { start, stops } from './servers.js'
import { cli, Tool } from './tool.js'

interface Writer {
  /** Longest time that one write took, ms. */
  readonly longest: number
  readonly written: number
  readonly refused: number
  stop(): Promise<void>
}

/** Counts up one key as fast as `perSecond` says, each write awaited. */
async function startWriter(url: string, perSecond = 2000): Promise<Writer> {
  const link = await RedisLink.open(parseEndpoint(url))
  const state = { longest: 0, written: 0, refused: 0 }
  let going = true
  const work = (async () => {
    const startedAt = Date.now()
    while (going) {
      const due = ((Date.now() - startedAt) / 1000) * perSecond - state.written - state.refused
      if (due < 1) {
        await sleep(1)
        continue
      }
      const count = Math.min(20, Math.floor(due))
      const at = performance.now()
      const replies = await link.pipeline((out) => {
        for (let i = 0; i < count; i++)
          out.call(i % 2 ? 'INCR' : 'RPUSH', `w:${i % 2 ? 'n' : 'l'}:${i % 10}`, ...(i % 2 ? [] : ['v']))
        return count
      })
      state.longest = Math.max(state.longest, performance.now() - at)
      for (const reply of replies) reply instanceof Error ? state.refused++ : state.written++
    }
  })()
  return {
    get longest() {
      return state.longest
    },
    get written() {
      return state.written
    },
    get refused() {
      return state.refused
    },
    stop: async () => {
      going = false
      await work
      link.close()
    },
  }
}

/** A live migration as a process, caught up. */
async function live(source: string, target: string, ...more: string[]): Promise<{ tool: Tool; state: string[] }> {
  const state = ['--state-dir', stateDir()]
  const tool = new Tool(['migrate', '--id', 'm', '-s', source, '-t', target, '-m', 'live', ...more, ...state])
  stops.push(() => tool.kill())
  await tool.says('LIVE_SYNC')
  return { tool, state }
}

describe('cutover', () => {
  it('keeps writers out for a moment, loses nothing, runs the hook with the facts, and ends the migration', async () => {
    const source = await start()
    const target = await start()
    await command(source.url, 'SET', 'before', '1')
    const { tool, state } = await live(source.url, target.url)
    const writer = await startWriter(source.url, 10_000)
    await sleep(500)
    const hook = `redis-cli -p ${target.port} SET cut-by "$FERRITE_MIGRATE_ID $FERRITE_MIGRATE_KEYS" > /dev/null`
    const result = await cli([
      'cutover',
      '--id',
      'm',
      '--max-lag',
      '100000',
      '--verify',
      '--on-cutover',
      hook,
      '--hold',
      '300ms',
      ...state,
    ])
    expect([result.code, result.output]).toEqual([0, expect.stringContaining('RESULT: ✅ CUT OVER')])
    for (const step of ['lag', 'verify', 'fence', 'drain', 'hook', 'done', 'release'])
      expect(result.output).toMatch(new RegExp(`s  ${step} `))
    const downtime = Number(/kept out for (\d+) ms/.exec(result.output)?.[1])
    expect(downtime).toBeGreaterThanOrEqual(0)
    expect(await tool.over).toBe(0)
    expect(tool.output).toContain('COMPLETED')
    const over = await cli(['cutover', '--id', 'm', ...state])
    expect([over.code, over.output]).toEqual([2, expect.stringMatching(/FM_NOT_RUNNING.*COMPLETED[\s\S]*It is over/)])
    const during = writer.written
    // The fence is down again: writers go on at the old source, and the target no longer follows.
    await until(() => writer.written > during, 'the writer went on')
    await writer.stop()
    expect(writer.longest).toBeGreaterThan(250)
    expect(writer.refused).toBe(0)
    expect(String(await command(target.url, 'GET', 'cut-by'))).toBe('m 1')
    const own = (await command(target.url, 'KEYS', '__ferrite*')) as unknown[]
    expect(own).toEqual([])
  })

  it('is equal at the moment of the fence', async () => {
    const source = await start()
    const target = await start()
    const { tool, state } = await live(source.url, target.url)
    const writer = await startWriter(source.url, 8000)
    await sleep(400)
    const cut = new Tool(['cutover', '--id', 'm', '--max-lag', '100000', '--hold', '8s', ...state])
    await cut.says(/ done /)
    expect(await differences(source.url, target.url)).toEqual([])
    expect(await cut.over).toBe(0)
    expect(await tool.over).toBe(0)
    await writer.stop()
  })

  it('goes on when the hook fails, and says so by its exit code', async () => {
    const source = await start()
    const target = await start()
    const { tool, state } = await live(source.url, target.url)
    const failed = await cli(['cutover', '--id', 'm', '--on-cutover', 'echo no way; exit 3', ...state])
    expect(failed.code).toBe(1)
    expect(failed.output).toMatch(/FM_CUTOVER_HOOK: the hook ended with exit code 3: no way/)
    // Writers are let in at once, and their writes still arrive.
    await command(source.url, 'SET', 'after', '1')
    await until(async () => String(await command(target.url, 'GET', 'after')) === '1', 'the migration went on')
    const status = await cli(['status', '--id', 'm', '--json', ...state])
    expect(JSON.parse(status.output)).toMatchObject({ phase: 'LIVE_SYNC', state: 'RUNNING' })
    const slow = await cli(['cutover', '--id', 'm', '--on-cutover', 'sleep 20', '--hook-timeout', '300ms', ...state])
    expect([slow.code, slow.output]).toEqual([1, expect.stringContaining('no answer within 300 ms')])
    tool.child.kill('SIGINT')
    expect(await tool.over).toBe(130)
  })

  it('asks a webhook, and refuses to start when too much is behind', async () => {
    const source = await start()
    const target = await start()
    const { tool, state } = await live(source.url, target.url)
    const bodies: string[] = []
    const server = createServer((request, response) => {
      request.on('data', (data: Buffer) => bodies.push(data.toString()))
      request.on('end', () => {
        response.statusCode = bodies.length === 1 ? 503 : 200
        response.end()
      })
    })
    await new Promise<void>((done) => server.listen(0, '127.0.0.1', done))
    stops.push(async () => server.close())
    const address = server.address()
    const url = `http://127.0.0.1:${typeof address === 'object' ? address?.port : 0}/cut`
    const refused = await cli(['cutover', '--id', 'm', '--webhook', url, ...state])
    expect([refused.code, refused.output]).toEqual([1, expect.stringContaining('the webhook answered 503')])
    target.signal('SIGSTOP')
    const link = await RedisLink.open(parseEndpoint(source.url))
    await link.pipeline((out) => {
      for (let i = 0; i < 5000; i++) out.call('SET', `k${i}`, i)
      return 5000
    })
    link.close()
    const late = await cli(['cutover', '--id', 'm', '--timeout', '1s', ...state])
    target.signal('SIGCONT')
    expect([late.code, late.output]).toEqual([1, expect.stringContaining('FM_CUTOVER_LAG')])
    const agreed = await cli(['cutover', '--id', 'm', '--webhook', url, ...state])
    expect([agreed.code, agreed.output]).toEqual([0, expect.stringContaining('the webhook agreed')])
    expect(JSON.parse(bodies[1])).toMatchObject({ event: 'cutover', FERRITE_MIGRATE_ID: 'm' })
    expect(await tool.over).toBe(0)
  })

  it('says what it would do without doing it', async () => {
    const source = await start()
    const target = await start()
    const { tool, state } = await live(source.url, target.url)
    const dry = await cli(['cutover', '--id', 'm', '--dry-run', '--verify', ...state])
    expect([dry.code, dry.output]).toEqual([0, expect.stringContaining('dry run: nothing was changed')])
    expect(dry.output).toContain('CLIENT PAUSE WRITE')
    await command(source.url, 'SET', 'still', 'live')
    tool.child.kill('SIGINT')
    expect(await tool.over).toBe(130)
    const gone = await cli(['cutover', '--id', 'm', ...state])
    expect([gone.code, gone.output]).toEqual([2, expect.stringMatching(/FM_NOT_RUNNING.*INTERRUPTED[\s\S]*--resume m/)])
  })

  it('fences by ACL rules where CLIENT PAUSE is not allowed, and gives the rules back', async () => {
    const source = await start()
    const target = await start()
    await command(source.url, 'ACL', 'SETUSER', 'mover', 'on', '>pw', '~*', '&*', '+@all', '-client|pause')
    await command(source.url, 'ACL', 'SETUSER', 'app', 'on', '>pw', '~*', '+@all', '-flushall')
    const before = await command(source.url, 'ACL', 'LIST')
    const { tool, state } = await live(source.url.replace('//', '//mover:pw@'), target.url)
    const writer = await startWriter(source.url.replace('//', '//app:pw@'), 1000)
    const cut = await cli(['cutover', '--id', 'm', '--max-lag', '10000', '--hold', '2s', ...state])
    expect([cut.code, cut.output]).toEqual([0, expect.stringContaining('ACL SETUSER')])
    expect(await tool.over).toBe(0)
    await sleep(200)
    await writer.stop()
    expect(writer.refused).toBeGreaterThan(0)
    expect(String(await command(source.url, 'ACL', 'LIST'))).toBe(String(before))
  })

  it('happens at its time, also after the process was killed and started again, and can be taken back', async () => {
    const source = await start()
    const target = await start()
    const { tool, state } = await live(source.url, target.url)
    const at = (ms: number): string => new Date(Date.now() + ms).toISOString()
    expect((await cli(['cutover', '--id', 'm', '--scheduled', at(60_000), ...state])).code).toBe(0)
    expect((await cli(['cutover', '--id', 'm', '--cancel', ...state])).output).toContain('taken back')
    expect((await cli(['cutover', '--id', 'm', '--scheduled', 'tomorrow', ...state])).code).toBe(2)
    expect((await cli(['cutover', '--id', 'm', '--scheduled', '2020-01-01T00:00:00Z', ...state])).output).toContain(
      'in the past',
    )
    expect((await cli(['cutover', '--id', 'm', '--scheduled', at(8000), ...state])).code).toBe(0)
    await tool.kill()
    const again = new Tool(['migrate', '--resume', 'm', ...state])
    stops.push(() => again.kill())
    expect(await again.over).toBe(0)
    expect(again.output).toContain('COMPLETED')
    const events = await cli(['events', '--id', 'm', ...state])
    expect(events.output).toMatch(/cutover-scheduled[\s\S]*cutover-done/)
  })

  it('needs --fence none on a Ferrite, which only pretends to pause', async () => {
    const backend = await start()
    const emulator = await FerriteEmulator.start(parseEndpoint(backend.url))
    stops.push(() => emulator.stop())
    const target = await start()
    await command(emulator.url.replace('ferrite', 'redis'), 'SET', 'a', '1')
    const { tool, state } = await live(emulator.url, target.url, '--source-option', 'poll-interval=300ms')
    expect(tool.output).toContain('INITIAL_SYNC')
    const refused = await cli(['cutover', '--id', 'm', ...state])
    expect([refused.code, refused.output]).toEqual([1, expect.stringContaining('FM_FENCE_UNAVAILABLE')])
    await command(emulator.url.replace('ferrite', 'redis'), 'SET', 'late', '2')
    const cut = await cli(['cutover', '--id', 'm', '--fence', 'none', ...state])
    expect([cut.code, cut.output]).toEqual([0, expect.stringContaining('CUT OVER')])
    expect(String(await command(target.url, 'GET', 'late'))).toBe('2')
    expect(await tool.over).toBe(0)
  })

  it('into the emulated Ferrite: passes, then live, then the cutover with a comparison', async () => {
    const source = await start({ args: ['--repl-backlog-size', '16mb'] })
    const backend = await start()
    const emulator = await FerriteEmulator.start(parseEndpoint(backend.url))
    stops.push(() => emulator.stop())
    const at = emulator.url.replace('ferrite', 'redis')
    const link = await RedisLink.open(parseEndpoint(source.url))
    await link.pipeline((out) => {
      for (let i = 0; i < 300; i++) out.call('HSET', `h:${i}`, 'f', i)
      return 300
    })
    const state = stateDir()
    const pass = [
      'migrate',
      '--id',
      'inc',
      '-s',
      source.url,
      '-t',
      emulator.url,
      '-m',
      'incremental',
      '--once',
      '--state-dir',
      state,
    ]
    expect((await cli(pass)).output).toContain('pass 1: everything compared')
    await link.call('DEL', 'h:1')
    await link.call('HSET', 'h:2', 'f', 'new')
    expect((await cli(pass)).output).toMatch(/pass 2: from the backlog of the source, 2 changes/)
    expect([await command(at, 'EXISTS', 'h:1'), String(await command(at, 'HGET', 'h:2', 'f'))]).toEqual([0, 'new'])
    const { tool, state: own } = await live(source.url, emulator.url)
    const writer = await startWriter(source.url, 500)
    await sleep(300)
    const cut = new Tool(['cutover', '--id', 'm', '--max-lag', '10000', '--verify', '--hold', '8s', ...own])
    await cut.says(/ done /)
    expect(await differences(source.url, emulator.url, { ferrite: true })).toEqual([])
    expect(await cut.over).toBe(0)
    expect(await tool.over).toBe(0)
    await writer.stop()
    link.close()
  })
})

describe('while the traffic is moved', () => {
  it('a source that begins anew is not written to the target, which has the new traffic by then', async () => {
    const source = await start()
    const target = await start()
    for (let i = 0; i < 50; i++) await command(source.url, 'SET', `k${i}`, String(i))
    const state = ['--state-dir', stateDir()]
    const run = new Tool(['migrate', '--id', 'anew', '-s', source.url, '-t', target.url, '-m', 'live', ...state])
    stops.push(() => run.kill())
    await run.says('LIVE_SYNC')
    const port = (url: string): string => new URL(url).port
    // The source follows the target from now on: its stream begins anew, with what the target has.
    const hook = `redis-cli -p ${port(source.url)} REPLICAOF 127.0.0.1 ${port(target.url)} && sleep 4 && redis-cli -p ${port(target.url)} SET traffic 1`
    const done = await cli(['cutover', '--id', 'anew', '--on-cutover', hook, '--hold', '3s', ...state])
    expect([done.code, done.output]).toEqual([0, expect.stringContaining('CUT OVER')])
    expect(done.output).toContain('began anew behind the fence')
    expect(String(await command(target.url, 'GET', 'traffic'))).toBe('1')
    expect(await command(target.url, 'KEYS', 'k*')).toHaveLength(50)
  })

  it('a write behind a fence that fell is told where only events tell of changes, and goes over nothing', async () => {
    const source = await start()
    const target = await start()
    await command(source.url, 'SET', 'k1', 'old')
    const state = ['--state-dir', stateDir()]
    const run = new Tool([
      ...['migrate', '--id', 'fell', '-s', source.url, '-t', target.url, '-m', 'live', '--capture', 'notifications'],
      ...state,
    ])
    stops.push(() => run.kill())
    await run.says('LIVE_SYNC')
    const asked = new Tool(['cutover', '--id', 'fell', '--fence', 'pause', '--hold', '12s', ...state])
    stops.push(() => asked.kill())
    await asked.says(/done/)
    await command(target.url, 'SET', 'k1', 'new traffic')
    run.child.kill('SIGSTOP')
    await command(source.url, 'SET', 'k1', 'slipped')
    run.child.kill('SIGCONT')
    expect(await asked.over).toBe(1)
    expect(asked.output).toMatch(/FM_FENCE_FELL[\s\S]*k1/)
    expect(String(await command(target.url, 'GET', 'k1'))).toBe('new traffic')
  })
})

describe('a cutover', () => {
  it('is called off by Ctrl-C, and by --cancel, as long as the traffic is not moved', async () => {
    const source = await start()
    const target = await start()
    await command(source.url, 'SET', 'a', '1')
    const state = ['--state-dir', stateDir()]
    const run = new Tool(['migrate', '--id', 'off', '-s', source.url, '-t', target.url, '-m', 'live', ...state])
    stops.push(() => run.kill())
    await run.says('LIVE_SYNC')
    source.signal('SIGSTOP')
    try {
      for (const how of ['Ctrl-C', '--cancel']) {
        const asked = new Tool(['cutover', '--id', 'off', '--max-lag', '0', ...state])
        stops.push(() => asked.kill())
        await asked.says(/wait/)
        if (how === 'Ctrl-C') asked.child.kill('SIGINT')
        else expect((await cli(['cutover', '--id', 'off', '--cancel', ...state])).output).toContain('is called off')
        expect(await asked.over).toBe(how === 'Ctrl-C' ? 130 : 1)
        expect(asked.output).toMatch(how === 'Ctrl-C' ? /the cutover is called off/ : /FM_CUTOVER_CALLED_OFF/)
      }
    } finally {
      source.signal('SIGCONT')
    }
    await until(
      async () => (await cli(['status', '--id', 'off', ...state])).output.includes('LIVE_SYNC'),
      'it to go on',
    )
    await command(source.url, 'SET', 'b', '2')
    await until(async () => String(await command(target.url, 'GET', 'b')) === '2', 'the change')
  })

  it('does not fail over keys that live less than a second', async () => {
    const source = await start()
    const target = await start()
    const state = ['--state-dir', stateDir()]
    const run = new Tool(['migrate', '--id', 'short', '-s', source.url, '-t', target.url, '-m', 'live', ...state])
    stops.push(() => run.kill())
    await run.says('LIVE_SYNC')
    const link = await RedisLink.open(parseEndpoint(source.url))
    let going = true
    const writer = (async () => {
      for (let i = 0; going; i++) {
        // Behind the fence it waits.
        await link.call('SET', `lock:${i % 20}`, 'x', 'PX', '900')
        await sleep(20)
      }
    })().catch(() => undefined)
    await sleep(2500)
    const done = await cli(['cutover', '--id', 'short', '--verify', ...state])
    going = false
    await writer
    link.close()
    expect([done.code, done.output]).toEqual([0, expect.stringContaining('CUT OVER')])
  })
})
