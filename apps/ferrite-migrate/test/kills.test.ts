import { setTimeout as sleep } from 'node:timers/promises'
import { Random } from '@ferrite-migrate/bench'
import { FerriteEmulator } from '@ferrite-migrate/ferrite-emulator'
import { parseEndpoint, RedisLink } from '@ferrite-migrate/redis'
import { describe, expect, it } from 'vitest'
import { command, differences, stateDir } from './run.js'
import { start, stops } from './servers.js'
import { Tool } from './tool.js'

/** `npm run test:faults` sets 200. */
const KILLS = Number(process.env.FERRITE_MIGRATE_KILLS ?? 20)

/** Commands whose doubling or loss shows, on keys that meet. */
async function write(url: string, seed: number, signal: AbortSignal, perSecond: number): Promise<number> {
  const link = await RedisLink.open(parseEndpoint(url))
  const random = new Random(seed)
  let n = 0
  const startedAt = Date.now()
  while (!signal.aborted) {
    if (n > ((Date.now() - startedAt) / 1000) * perSecond) {
      await sleep(3)
      continue
    }
    await link.pipeline((out) => {
      let commands = 0
      const call = (...argv: (string | number)[]): void => {
        out.call(...argv)
        commands++
      }
      for (let i = 0; i < 20; i++, n++) {
        const k = random.below(40)
        switch (random.below(9)) {
          case 0:
            call('INCR', `n:${k}`)
            break
          case 1:
            call('RPUSH', `l:${k}`, `v${n}`)
            if (random.below(8) === 0) call('LTRIM', `l:${k}`, -30, -1)
            break
          case 2:
            call('APPEND', `s:${k}`, String(n % 10))
            if (random.below(40) === 0) call('DEL', `s:${k}`)
            break
          case 3:
            call('XADD', `x:${k}`, 'MAXLEN', 40, '*', 'f', n)
            break
          case 4:
            call('SADD', `set:${k}`, n, n + 1)
            call('SPOP', `set:${k}`)
            break
          case 5:
            call('RENAME', `n:${k}`, `n:${random.below(40)}`)
            break
          case 6:
            call('SET', `gone:${n}`, 'x', 'PX', 400 + random.below(3000))
            break
          case 7:
            call('SET', `ghost:${n % 500}`, n)
            call('DEL', `ghost:${(n + 250) % 500}`)
            break
          default:
            call('MULTI')
            call('INCR', 'pair:a')
            call('RPUSH', 'pair:l', n)
            call('LTRIM', 'pair:l', -50, -1)
            call('INCR', 'pair:b')
            call('EXEC')
        }
      }
      return commands
    })
  }
  link.close()
  return n
}

async function fill(url: string, keys: number): Promise<void> {
  const link = await RedisLink.open(parseEndpoint(url))
  for (let from = 0; from < keys; from += 1000)
    await link.pipeline((out) => {
      for (let i = from; i < from + 500; i++) out.call('SET', `fill:s:${i}`, `value ${i} ${'x'.repeat(i % 200)}`)
      for (let i = from; i < from + 500; i++)
        out.call('HSET', `fill:h:${i}`, 'a', i, 'b', `text ${i}`, 'c', 'z'.repeat(i % 90))
      return 1000
    })
  link.close()
}

interface Scenario {
  readonly source: string
  readonly target: string
  readonly kills: number
  readonly seed: number
  readonly args?: readonly string[]
  readonly perSecond?: number
  readonly ferrite?: boolean
}

/** In turn early, anywhere, and once live, so that a slow machine too has kills in every phase. */
async function moment(tool: Tool, kill: number, random: Random): Promise<void> {
  if (kill % 3 === 2) await tool.says('LIVE_SYNC')
  const [from, to] = [
    [100, 500],
    [300, 1300],
    [0, 600],
  ][kill % 3] as [number, number]
  await Promise.race([sleep(random.between(from, to)), tool.over])
}

/** Kills the tool again and again under a writer, lets it end, and compares. */
async function survive(scenario: Scenario): Promise<void> {
  const { source, target, kills, seed, args = [] } = scenario
  const random = new Random(seed)
  const common = ['--state-dir', stateDir(), '-v', '--log-file', '/dev/null']
  const writing = new AbortController()
  const written = write(source, seed, writing.signal, scenario.perSecond ?? 4000)
  const phases = { none: 0, initial: 0, live: 0 }
  let begun = false
  try {
    for (let kill = 0; kill < kills; kill++) {
      const tool = new Tool(
        begun
          ? ['migrate', '--resume', 'kills', ...common]
          : ['migrate', '--id', 'kills', '-s', source, '-t', target, '-m', 'live', ...args, ...common],
      )
      await moment(tool, kill, random)
      if (tool.child.exitCode !== null) throw new Error(`ended by itself: ${tool.output}`)
      const live = tool.output.includes('LIVE_SYNC')
      const initial = tool.output.includes('INITIAL_SYNC')
      await tool.kill()
      begun ||= initial
      phases[live ? 'live' : initial ? 'initial' : 'none']++
    }
    writing.abort()
    expect(await written).toBeGreaterThan(100)
    const last = new Tool(['migrate', '--resume', 'kills', '--exit', ...common])
    const code = await Promise.race([last.over, sleep(150_000, 'timeout')])
    await last.kill()
    expect([code, code === 0 ? '' : last.output]).toEqual([0, ''])
  } finally {
    writing.abort()
    await written.catch(() => undefined)
  }
  // Let short expiries pass at both ends.
  await sleep(500)
  expect(await differences(source, target, { ferrite: scenario.ferrite ?? false })).toEqual([])
  const names = (await command(target.replace(/^ferrite/, 'redis'), 'KEYS', '__ferrite_migrate__:*')) as Buffer[]
  expect(names.map(String)).toEqual([])
  if (kills >= 10) expect(Math.min(phases.live, phases.initial + phases.none)).toBeGreaterThan(0)
}

describe('kill -9 of the tool at random moments', () => {
  it(`${KILLS} kills under replay`, { timeout: 240_000 + KILLS * 3000 }, async () => {
    const source = await start({ args: ['--repl-backlog-size', '64mb'] })
    const target = await start()
    await fill(source.url, 20_000)
    await survive({ source: source.url, target: target.url, kills: KILLS, seed: 31 })
  })

  it('kills while the backlog turns over: full resyncs without ghosts', {
    timeout: 240_000 + KILLS * 1000,
  }, async () => {
    const source = await start({ args: ['--repl-backlog-size', '16kb'] })
    const target = await start()
    await fill(source.url, 5000)
    await survive({ source: source.url, target: target.url, kills: Math.ceil(KILLS / 4), seed: 32 })
  })

  it('kills while a large snapshot is copied slowly', { timeout: 240_000 + KILLS * 1000 }, async () => {
    const source = await start({ args: ['--repl-backlog-size', '64mb'] })
    const target = await start()
    await fill(source.url, 60_000)
    await survive({
      source: source.url,
      target: target.url,
      kills: Math.ceil(KILLS / 5),
      seed: 33,
      args: ['--max-rate', '40000'],
    })
  })

  it('kills under state, into the emulated Ferrite', { timeout: 240_000 + KILLS * 1000 }, async () => {
    const source = await start({ args: ['--repl-backlog-size', '64mb'] })
    const backend = await start()
    const emulator = await FerriteEmulator.start(parseEndpoint(backend.url))
    stops.push(() => emulator.stop())
    await fill(source.url, 3000)
    await survive({
      source: source.url,
      target: emulator.url,
      kills: Math.ceil(KILLS / 5),
      seed: 34,
      perSecond: 1000,
      ferrite: true,
    })
  })

  it('kills with keyspace notifications', { timeout: 240_000 + KILLS * 1000 }, async () => {
    const source = await start()
    const target = await start()
    await fill(source.url, 3000)
    await survive({
      source: source.url,
      target: target.url,
      kills: Math.ceil(KILLS / 5),
      seed: 35,
      perSecond: 1000,
      args: ['--capture', 'notifications', '--source-option', 'configure-notifications=true'],
    })
  })
})
