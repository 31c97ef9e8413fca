import { setTimeout as sleep } from 'node:timers/promises'
import { TestServer, until } from '@ferrite-migrate/servers'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { Migration, MigrationConfig } from '../dist/index.js'
import { arrive, depart } from './two-redis/index.js'
import { sourceOf, TwoServers } from './two-servers.js'

let servers: TwoServers
let a: TestServer
let b: TestServer
let target: TestServer
beforeEach(async () => {
  servers = await TwoServers.start()
  ;({ a, b, target } = servers)
})
afterEach(() => servers.stop())

/** Nobody can tell which of the two a key is of. */
const migration = (config: Partial<MigrationConfig>): Migration => servers.migration({ source: servers.url, ...config })

describe('two shards of one source', () => {
  it('do not delete what the other has, with --delete-extra', async () => {
    await servers.fill(a, 'a', 5000)
    await servers.fill(b, 'b', 500)
    await servers.at(target, 'SET', 'extra:1', 'v')
    const report = await migration({ mode: 'snapshot', deleteExtra: true }).start()
    expect(report.status.state).toBe('COMPLETED')
    expect([await servers.count('a'), await servers.count('b'), await servers.count('extra')]).toEqual([5000, 500, 0])
  })

  it('do not delete what the other has, when they go on at a target that was empty', async () => {
    await servers.fill(a, 'a', 5000)
    await servers.fill(b, 'b', 500)
    const stateDir = servers.directory()
    const first = migration({ mode: 'live', stateDir })
    const over = first.start()
    await servers.isLive(first)
    first.stop()
    await over
    // Nobody can go on from a place: everything comes once more.
    for (const server of [a, b]) await servers.restart(server)
    await servers.fill(a, 'a', 5000)
    await servers.fill(b, 'b', 500)
    const again = migration({ mode: 'live', stateDir, resume: true, exit: true })
    expect((await again.start()).status.state).toBe('COMPLETED')
    expect([await servers.count('a'), await servers.count('b')]).toEqual([5000, 500])
  })

  it('both go on by themselves after the target was restarted', async () => {
    await servers.fill(a, 'a', 500)
    await servers.fill(b, 'b', 500)
    const run = migration({ mode: 'live' })
    const over = run.start()
    await servers.isLive(run)
    const writers = servers.counting()
    await sleep(500)
    await servers.restart(target)
    await sleep(1500)
    await writers.end()
    await servers.isCounted()
    run.stop()
    await over
    expect([await servers.count('a'), await servers.count('b')]).toEqual([501, 501])
  })

  it('are not switched over while nobody knows how far behind one of them is', async () => {
    await servers.fill(a, 'a', 500)
    await servers.fill(b, 'b', 500)
    const run = migration({ mode: 'live' })
    const over = run.start()
    await servers.isLive(run)
    a.signal('SIGSTOP')
    await expect(run.cutover({ fence: 'none', timeoutMs: 1500 })).rejects.toMatchObject({ code: 'FM_CUTOVER_LAG' })
    a.signal('SIGCONT')
    await run.cutover({ fence: 'none' })
    expect((await over).status.state).toBe('COMPLETED')
  }, 60_000)

  it('count for themselves: a resync of one leaves the other as it is', async () => {
    await servers.fill(a, 'a', 5000)
    await servers.fill(b, 'b', 500)
    const run = migration({ mode: 'live' })
    const over = run.start()
    await servers.isLive(run)
    expect(run.status()).toMatchObject({ keysDone: 5500, keysTotal: 5500 })
    await servers.restart(b)
    await servers.fill(b, 'c', 1000)
    await until(async () => (await servers.count('c')) === 1000, 'the second shard to have come anew')
    await until(async () => run.status().keysDone >= 6000, 'its count')
    expect(run.status().keysTotal).toBeGreaterThanOrEqual(5000)
    expect(run.status().keysDone).toBeLessThanOrEqual(6000)
    // What the second one lost when it was started again is gone at the target too, and nothing of the first.
    await until(async () => (await servers.count('b')) === 0, 'what vanished')
    expect(await servers.count('a')).toBe(5000)
    run.stop()
    await over
  })

  it('are verified under writers, each at places of its own stream', async () => {
    await servers.fill(a, 'a', 200)
    await servers.fill(b, 'b', 200)
    const run = servers.migration({ mode: 'live' })
    const over = run.start()
    await servers.isLive(run)
    const writers = servers.counting()
    const report = await run.verify()
    await writers.end()
    expect(report).toMatchObject({ equal: true, mismatched: 0, missingTarget: 0 })
    run.stop()
    await over
  })

  it('are joined by one that comes, and do not wait for one that went', async () => {
    const third = await TestServer.start({ args: ['--repl-diskless-sync-delay', '0'] })
    try {
      await servers.fill(a, 'a', 100)
      await servers.fill(b, 'b', 100)
      await servers.fill(third, 'c', 2000)
      const run = servers.migration({ mode: 'live' })
      const notes: string[] = []
      run.on('note', ({ text }) => void notes.push(text))
      const over = run.start()
      await servers.isLive(run)
      arrive(`127.0.0.1:${third.port}`)
      await until(async () => (await servers.count('c')) === 2000, 'the keys of the new shard')
      await servers.isLive(run)
      await servers.at(third, 'SET', 'c:late', '1')
      await until(async () => (await servers.at(target, 'GET', 'c:late')) !== null, 'a change of the new shard')
      depart('shard-2')
      await until(async () => notes.some((text) => text.includes('no shard shard-2')), 'the end of the third')
      await servers.at(a, 'SET', 'a:late', '1')
      await until(async () => (await servers.at(target, 'GET', 'a:late')) !== null, 'a change of the first')
      expect(await servers.count('c')).toBe(2001)
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
      await servers.fill(a, 'a', 500)
      await servers.fill(late, 'b', 500)
      await servers.at(target, 'SET', 'extra:1', 'v')
      const run = migration({
        ...{ mode: 'live', deleteExtra: true, source: sourceOf(a, late) },
        sourceOptions: { 'snapshot-delay': 'keep' },
      })
      const over = run.start()
      await until(async () => (await servers.count('a')) === 500, 'the first shard')
      await servers.at(a, 'SET', 'a:new', '1')
      await until(async () => (await servers.at(target, 'GET', 'a:new')) !== null, 'its change')
      expect(run.status().phase).toBe('INITIAL_SYNC')
      await servers.isLive(run)
      expect([await servers.count('a'), await servers.count('b'), await servers.count('extra')]).toEqual([501, 500, 0])
      run.stop()
      await over
    } finally {
      await late.stop()
    }
  })
})
