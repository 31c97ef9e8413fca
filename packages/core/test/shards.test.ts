import { mkdtempSync, readFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { parseEndpoint, RedisLink } from '@ferrite-migrate/redis'
import { TestServer, until } from '@ferrite-migrate/servers'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { type FoundPlugin, Migration, type MigrationConfig, Registry } from '../dist/index.js'
import { arrive, depart } from './two-redis/index.js'

const plugins = resolve(import.meta.dirname, '..', '..', '..', 'plugins')
function plugin(name: string): FoundPlugin {
  const root = join(plugins, name)
  return { name, root, packageJson: JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) }
}

/** Two Redis servers as one source, with the options of one. */
function twoRedis(): FoundPlugin {
  const { ferriteMigrate } = plugin('source-redis').packageJson as {
    ferriteMigrate: { contract: number; adapters: { kind: string; options: unknown[] }[] }
  }
  const [spec] = ferriteMigrate.adapters
  const adapter = { ...spec, name: 'two-redis', schemes: ['two'], module: './index.js' }
  return {
    name: 'two-redis',
    root: join(import.meta.dirname, 'two-redis'),
    packageJson: { ferriteMigrate: { ...ferriteMigrate, adapters: [adapter] } },
  }
}
const registry = new Registry([plugin('source-redis'), plugin('target-ferrite'), twoRedis()])

let a: TestServer
let b: TestServer
let target: TestServer
const links = new Map<TestServer, RedisLink>()
beforeEach(async () => {
  const args = ['--repl-backlog-size', '16mb', '--repl-diskless-sync-delay', '0']
  ;[a, b, target] = await Promise.all([
    TestServer.start({ args }),
    TestServer.start({ args }),
    TestServer.start({ persistent: true }),
  ])
})
const running: Migration[] = []
afterEach(async () => {
  for (const one of running.splice(0)) one.stop()
  for (const link of links.values()) link.close()
  links.clear()
  await Promise.all([a.stop(), b.stop(), target.stop()])
})

async function at(server: TestServer, ...words: (string | number)[]): Promise<unknown> {
  let link = links.get(server)
  if (link === undefined) {
    link = await RedisLink.open(parseEndpoint(server.url))
    links.set(server, link)
    void link.closed.then(() => links.delete(server))
  }
  return link.call(...words)
}
async function fill(server: TestServer, tag: string, count: number): Promise<void> {
  for (let from = 0; from < count; from += 500)
    await at(server, 'MSET', ...Array.from({ length: 500 }, (_, i) => [`${tag}:${from + i}`, 'v']).flat())
}
const count = async (tag: string): Promise<number> => {
  const names = (await at(target, 'KEYS', `${tag}:*`)) as Buffer[]
  return names.length
}
/** A power loss, and the same server again. */
async function restart(server: TestServer): Promise<void> {
  await server.kill()
  await server.launch()
}
const directory = (): string => mkdtempSync(join(tmpdir(), 'fm-shards-'))

/** Both servers as one source. */
const twoServers = (): string => `two://${[a, b].map(({ url }) => url.replace('redis://', '')).join(',')}`

function migration(config: Partial<MigrationConfig> = {}): Migration {
  const made = new Migration(
    { source: twoServers(), target: target.url, stateDir: directory(), id: 'm', ...config },
    { registry },
  )
  running.push(made)
  return made
}
const isLive = (run: Migration) => until(async () => run.status().phase === 'LIVE_SYNC', 'both shards to be live')

describe('two shards of one source', () => {
  it('do not delete what the other has, with --delete-extra', async () => {
    await fill(a, 'a', 5000)
    await fill(b, 'b', 500)
    await at(target, 'SET', 'extra:1', 'v')
    const report = await migration({ mode: 'snapshot', deleteExtra: true }).start()
    expect(report.status.state).toBe('COMPLETED')
    expect([await count('a'), await count('b'), await count('extra')]).toEqual([5000, 500, 0])
  })

  it('do not delete what the other has, when they go on at a target that was empty', async () => {
    await fill(a, 'a', 5000)
    await fill(b, 'b', 500)
    const stateDir = directory()
    const first = migration({ mode: 'live', stateDir })
    const over = first.start()
    await isLive(first)
    first.stop()
    await over
    // Nobody can go on from a place: everything comes once more.
    for (const server of [a, b]) await restart(server)
    await fill(a, 'a', 5000)
    await fill(b, 'b', 500)
    const again = migration({ mode: 'live', stateDir, resume: true, exit: true })
    expect((await again.start()).status.state).toBe('COMPLETED')
    expect([await count('a'), await count('b')]).toEqual([5000, 500])
  })

  it('both go on by themselves after the target was restarted', async () => {
    await fill(a, 'a', 500)
    await fill(b, 'b', 500)
    const run = migration({ mode: 'live' })
    const over = run.start()
    await isLive(run)
    let going = true
    let written = 0
    const writer = (async () => {
      while (going) {
        await Promise.all([a, b].map((server) => at(server, 'INCR', server === a ? 'a:n' : 'b:n')))
        written++
        if (written % 50 === 0) await sleep(1)
      }
    })()
    await sleep(500)
    await restart(target)
    await sleep(1500)
    going = false
    await writer
    await until(
      async () =>
        String(await at(target, 'GET', 'a:n')) === String(written) &&
        String(await at(target, 'GET', 'b:n')) === String(written),
      'everything that was counted',
    )
    run.stop()
    await over
    expect([await count('a'), await count('b')]).toEqual([501, 501])
  })

  it('are not switched over while nobody knows how far behind one of them is', async () => {
    await fill(a, 'a', 500)
    await fill(b, 'b', 500)
    const run = migration({ mode: 'live' })
    const over = run.start()
    await isLive(run)
    a.signal('SIGSTOP')
    await expect(run.cutover({ fence: 'none', timeoutMs: 1500 })).rejects.toMatchObject({ code: 'FM_CUTOVER_LAG' })
    a.signal('SIGCONT')
    await run.cutover({ fence: 'none' })
    expect((await over).status.state).toBe('COMPLETED')
  }, 60_000)

  it('count for themselves: a resync of one leaves the other as it is', async () => {
    await fill(a, 'a', 5000)
    await fill(b, 'b', 500)
    const run = migration({ mode: 'live' })
    const over = run.start()
    await isLive(run)
    expect(run.status()).toMatchObject({ keysDone: 5500, keysTotal: 5500 })
    await restart(b)
    await fill(b, 'c', 1000)
    await until(async () => (await count('c')) === 1000, 'the second shard to have come anew')
    await until(async () => run.status().keysDone >= 6000, 'its count')
    expect(run.status().keysTotal).toBeGreaterThanOrEqual(5000)
    expect(run.status().keysDone).toBeLessThanOrEqual(6000)
    // What the second one lost when it was started again is gone at the target too, and nothing of the first.
    await until(async () => (await count('b')) === 0, 'what vanished')
    expect(await count('a')).toBe(5000)
    run.stop()
    await over
  })

  it('are verified under writers, each at places of its own stream', async () => {
    await fill(a, 'a', 200)
    await fill(b, 'b', 200)
    const run = migration({ mode: 'live', source: `${twoServers()},owned` })
    const over = run.start()
    await isLive(run)
    let going = true
    const writers = [a, b].map(async (server, i) => {
      while (going) await at(server, 'INCR', `${'ab'[i]}:n`)
    })
    const report = await run.verify()
    going = false
    await Promise.all(writers)
    expect(report).toMatchObject({ equal: true, mismatched: 0, missingTarget: 0 })
    run.stop()
    await over
  })

  it('are joined by one that comes, and do not wait for one that went', async () => {
    const third = await TestServer.start({ args: ['--repl-diskless-sync-delay', '0'] })
    try {
      await fill(a, 'a', 100)
      await fill(b, 'b', 100)
      await fill(third, 'c', 2000)
      const run = migration({ mode: 'live', source: `${twoServers()},owned` })
      const notes: string[] = []
      run.on('note', ({ text }) => void notes.push(text))
      const over = run.start()
      await isLive(run)
      arrive(`127.0.0.1:${third.port}`)
      await until(async () => (await count('c')) === 2000, 'the keys of the new shard')
      await isLive(run)
      await at(third, 'SET', 'c:late', '1')
      await until(async () => (await at(target, 'GET', 'c:late')) !== null, 'a change of the new shard')
      depart('shard-2')
      await until(async () => notes.some((text) => text.includes('no shard shard-2')), 'the end of the third')
      await at(a, 'SET', 'a:late', '1')
      await until(async () => (await at(target, 'GET', 'a:late')) !== null, 'a change of the first')
      expect(await count('c')).toBe(2001)
      expect(notes).toContain('the source has a new shard: shard-2')
      run.stop()
      expect((await over).status.state).toBe('INTERRUPTED')
    } finally {
      await third.stop()
    }
  })

  it('keep what one got by changes while the other was still read, with --delete-extra', async () => {
    // The second server begins its snapshot seconds after the first.
    const late = await TestServer.start({ args: ['--repl-diskless-sync-delay', '3'] })
    try {
      await fill(a, 'a', 500)
      await fill(late, 'b', 500)
      await at(target, 'SET', 'extra:1', 'v')
      const pair = `two://${[a, late].map(({ url }) => url.replace('redis://', '')).join(',')}`
      const run = migration({
        ...{ mode: 'live', deleteExtra: true, source: pair },
        sourceOptions: { 'snapshot-delay': 'keep' },
      })
      const over = run.start()
      await until(async () => (await count('a')) === 500, 'the first shard')
      await at(a, 'SET', 'a:new', '1')
      await until(async () => (await at(target, 'GET', 'a:new')) !== null, 'its change')
      expect(run.status().phase).toBe('INITIAL_SYNC')
      await isLive(run)
      expect([await count('a'), await count('b'), await count('extra')]).toEqual([501, 500, 0])
      run.stop()
      await over
    } finally {
      await late.stop()
    }
  })
})
