import { createServer, type Server, type Socket, connect as tcp } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { until } from '@ferrite-migrate/servers'
import { afterEach, describe, expect, it } from 'vitest'
import { command, differences, stateDir } from './run.js'
import { start, stops } from './servers.js'
import { cli, Tool } from './tool.js'

/** `npm run test:faults` makes them longer: 70 s without a byte. */
const LONG = process.env.FERRITE_MIGRATE_KILLS !== undefined
/** So long before its end the state is asked for. */
const ASKED_MS = 4000
const HOLE_MS = LONG ? 70_000 : 17_000
/** A server that is silent for so long counts as lost; what is lost is tried again for as long. */
const PATIENCE = LONG ? '2m' : '14s'

/**
 * A network that can swallow everything, in both directions, without ending a connection. What was swallowed is never
 * followed by anything else: TCP knows no gaps.
 */
class Network {
  swallows = false
  private readonly server: Server
  private readonly sockets = new Set<Socket>()

  private constructor(port: number) {
    this.server = createServer((near) => {
      const far = tcp(port, '127.0.0.1')
      let dead = false
      for (const [from, to] of [
        [near, far],
        [far, near],
      ]) {
        this.sockets.add(from)
        from.on('error', () => to.destroy())
        from.on('close', () => to.destroy())
        from.on('data', (chunk) => {
          dead ||= this.swallows
          if (!dead) to.write(chunk)
        })
      }
    })
  }

  static async before(url: string): Promise<{ network: Network; url: string }> {
    const network = new Network(Number(new URL(url).port))
    await new Promise<void>((resolve) => network.server.listen(0, '127.0.0.1', resolve))
    stops.push(async () => network.close())
    const { port } = network.server.address() as { port: number }
    return { network, url: `redis://127.0.0.1:${port}` }
  }

  private close(): void {
    for (const socket of this.sockets) socket.destroy()
    this.server.close()
  }
}

const tools: Tool[] = []
function tool(...args: string[]): Tool {
  const made = new Tool(args)
  tools.push(made)
  return made
}
afterEach(async () => {
  for (const one of tools.splice(0)) {
    one.child.kill('SIGCONT')
    await one.kill()
  }
})

describe('a network that swallows everything', () => {
  it.each(['source', 'target'] as const)('to the %s is noticed, and the run goes on by itself', async (end) => {
    const source = await start({ args: ['--repl-backlog-size', '64mb'] })
    const target = await start()
    const { network, url } = await Network.before(end === 'source' ? source.url : target.url)
    const state = ['--state-dir', stateDir()]
    const ends = ['-s', end === 'source' ? url : source.url, '-t', end === 'target' ? url : target.url]
    await command(source.url, 'SET', 'before', '1')
    const run = tool('migrate', '--id', 'hole', ...ends, '-m', 'live', '--sync-timeout', PATIENCE, ...state)
    await run.says('LIVE_SYNC')
    // Every lane has its connection: one that is only being opened is given up sooner than one that fell silent.
    const spread = Array.from({ length: 64 }, (_, i) => `lane:${i}`)
    for (const key of spread) await command(source.url, 'SET', key, '1')
    await until(async () => Number(await command(target.url, 'EXISTS', ...spread)) === 64, 'a key of every lane')
    network.swallows = true
    await command(source.url, 'SET', 'during', '1')
    await sleep(HOLE_MS - ASKED_MS)
    // However long a command takes to start, the hole is not longer.
    const asked = cli(['status', '--id', 'hole', ...state])
    await sleep(ASKED_MS)
    network.swallows = false
    expect((await asked).output).not.toMatch(/in sync|INTERRUPTED/)
    await command(source.url, 'SET', 'after', '1')
    await until(async () => {
      // What ended tells why, and is not waited for.
      if (run.child.exitCode !== null) throw new Error(run.output)
      return String(await command(target.url, 'GET', 'after')) === '1'
    }, 'what was written after it')
    run.child.kill('SIGTERM')
    expect(await run.over).toBe(130)
    expect(await differences(source.url, target.url)).toEqual([])
  })

  it('does not keep the tool from stopping', async () => {
    const source = await start()
    const target = await start()
    const { network, url } = await Network.before(target.url)
    await command(source.url, 'SET', 'a', '1')
    const run = tool('migrate', '-s', source.url, '-t', url, '-m', 'live', '--state-dir', stateDir())
    await run.says('LIVE_SYNC')
    network.swallows = true
    await command(source.url, 'SET', 'b', '1')
    await sleep(500)
    const askedAt = Date.now()
    run.child.kill('SIGTERM')
    await run.over
    expect(Date.now() - askedAt).toBeLessThan(20_000)
  })
})

it('a process that stood still writes nothing beside its successor', async () => {
  const source = await start({ args: ['--repl-backlog-size', '64mb'] })
  const target = await start()
  const state = ['--state-dir', stateDir()]
  const ends = ['-s', source.url, '-t', target.url]
  await command(source.url, 'SET', 'a', '1')
  const first = tool('migrate', '--id', 'two', ...ends, '-m', 'live', ...state)
  await first.says('LIVE_SYNC')
  for (let i = 0; i < 50; i++) await command(source.url, 'INCR', 'n')
  first.child.kill('SIGSTOP')
  for (let i = 0; i < 50; i++) await command(source.url, 'INCR', 'n')
  let second = tool('migrate', '--resume', 'two', ...state)
  await until(async () => {
    if (/LIVE_SYNC/.test(second.output)) return true
    // Refused as long as the first one may still be alive.
    if (second.child.exitCode !== null) second = tool('migrate', '--resume', 'two', ...state)
    await sleep(500)
    return false
  }, 'the successor')
  first.child.kill('SIGCONT')
  for (let i = 0; i < 50; i++) await command(source.url, 'INCR', 'n')
  expect(await first.over).toBe(1)
  expect(first.output).toContain('FM_RUN_TAKEN')
  await until(async () => String(await command(target.url, 'GET', 'n')) === '150', 'all that was counted')
  second.child.kill('SIGTERM')
  expect(await second.over).toBe(130)
  expect(await differences(source.url, target.url)).toEqual([])
})

it('a fence of ACL rules does not outlive its owner: kill -9, and it is given back as it was', async () => {
  const source = await start()
  const target = await start()
  const state = ['--state-dir', stateDir()]
  await command(source.url, 'ACL', 'SETUSER', 'app', 'on', '>secret-of-app', '~app:*', '+@all', '-debug')
  const before = String(await command(source.url, 'ACL', 'LIST'))
  const run = tool('migrate', '--id', 'fence', '-s', source.url, '-t', target.url, '-m', 'live', ...state)
  await run.says('LIVE_SYNC')
  const asked = tool('cutover', '--id', 'fence', '--fence', 'acl', '--on-cutover', 'sleep 60', ...state)
  await until(async () => String(await command(source.url, 'ACL', 'LIST')) !== before, 'the fence')
  await run.kill()
  await asked.kill()
  expect(String(await command(source.url, 'ACL', 'LIST'))).not.toBe(before)
  const released = await cli(['cutover', '--id', 'fence', '--release', '-s', source.url, ...state])
  expect([released.code, released.output]).toEqual([0, expect.stringContaining('the rights of the users')])
  expect(String(await command(source.url, 'ACL', 'LIST'))).toBe(before)
  expect((await cli(['cutover', '--id', 'fence', '--release', '-s', source.url, ...state])).output).toContain('Nothing')
})

it('a write that slips in behind a fence that fell while the process stood still is told with its key', async () => {
  const source = await start()
  const target = await start()
  const state = ['--state-dir', stateDir()]
  await command(source.url, 'SET', 'a', '1')
  const run = tool('migrate', '--id', 'slip', '-s', source.url, '-t', target.url, '-m', 'live', ...state)
  await run.says('LIVE_SYNC')
  const asked = tool('cutover', '--id', 'slip', '--fence', 'pause', '--on-cutover', 'true', '--hold', '12s', ...state)
  await asked.says(/done/)
  run.child.kill('SIGSTOP')
  // A paused server answers as soon as its pause, which nobody renews, is over.
  expect(String(await command(source.url, 'SET', 'slipped:key', 'yes'))).toBe('OK')
  run.child.kill('SIGCONT')
  expect(await asked.over).toBe(1)
  expect(asked.output).toMatch(/FM_FENCE_FELL[\s\S]*slipped:key/)
})
