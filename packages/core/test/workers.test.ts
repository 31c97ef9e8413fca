import { readFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { until } from '@ferrite-migrate/servers'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { TwoServers } from './two-servers.js'

let servers: TwoServers
beforeEach(async () => {
  servers = await TwoServers.start()
})
afterEach(() => servers.stop())

/** The worker processes of this one. */
function workers(): number[] {
  const { pid } = process
  return readFileSync(`/proc/${pid}/task/${pid}/children`, 'latin1')
    .split(' ')
    .filter((child) => child !== '')
    .map(Number)
    .filter((child) => {
      try {
        return readFileSync(`/proc/${child}/cmdline`, 'latin1').includes('worker-main')
      } catch {
        return false
      }
    })
}

describe('shards in worker processes', () => {
  it('bring what both servers have, and delete what neither has', async () => {
    const { a, b, target } = servers
    await servers.fill(a, 'a', 3000)
    await servers.fill(b, 'b', 2000)
    await servers.at(target, 'SET', 'a:extra', 'v')
    await servers.at(target, 'SET', 'b:extra', 'v')
    const run = servers.migration({ mode: 'snapshot', deleteExtra: true, workers: 2 })
    const report = await run.start()
    expect(report.status).toMatchObject({ state: 'COMPLETED', keysDone: 5000, keysTotal: 5000, keysDeleted: 2 })
    expect([await servers.count('a'), await servers.count('b')]).toEqual([3000, 2000])
    const read = run.metrics().filter(({ metric }) => metric.name === 'ferrite_migrate_snapshot_keys_read')
    expect(read.map(({ value }) => value).sort()).toEqual([2000, 3000])
    expect(workers()).toEqual([])
  })

  it('follow both, are verified and switched over like shards of this process', async () => {
    const { a, b, target } = servers
    await servers.fill(a, 'a', 500)
    await servers.fill(b, 'b', 500)
    const run = servers.migration({ mode: 'live', workers: 2 })
    const over = run.start()
    await servers.isLive(run)
    const writers = servers.counting()
    expect(await run.verify()).toMatchObject({ equal: true, missingTarget: 0, mismatched: 0 })
    run.pause()
    await sleep(300)
    const paused = await servers.at(target, 'GET', 'a:n')
    await sleep(300)
    expect(await servers.at(target, 'GET', 'a:n')).toEqual(paused)
    run.resume()
    await writers.end()
    const result = await run.cutover({ fence: 'none', verify: true })
    expect(result).toMatchObject({ verification: { equal: true }, slipped: { keys: [], more: false } })
    expect((await over).status.state).toBe('COMPLETED')
    for (const [i, server] of [a, b].entries()) {
      const key = `${'ab'[i]}:n`
      expect(await servers.at(target, 'GET', key)).toEqual(await servers.at(server, 'GET', key))
    }
    expect(workers()).toEqual([])
  })

  it('of which one is killed under writers are gone on with by another, and nothing is done twice', async () => {
    const { a, b } = servers
    await servers.fill(a, 'a', 500)
    await servers.fill(b, 'b', 500)
    const run = servers.migration({ mode: 'live', workers: 2 })
    const notes: string[] = []
    run.on('note', ({ text }) => void notes.push(text))
    const over = run.start()
    await servers.isLive(run)
    const writers = servers.counting()
    for (let kill = 1; kill <= 4; kill++) {
      await until(async () => workers().length === 2, 'both workers')
      await sleep(200 + kill * 137)
      process.kill(workers()[kill % 2], 'SIGKILL')
      await until(
        async () => notes.filter((text) => text.includes('FM_') || text.includes('worker')).length >= kill,
        'the loss',
      )
    }
    await until(async () => workers().length === 2, 'both workers again')
    await sleep(300)
    await writers.end()
    await servers.isCounted()
    expect([await servers.count('a'), await servers.count('b')]).toEqual([501, 501])
    run.stop()
    expect((await over).status.state).toBe('INTERRUPTED')
    expect(workers()).toEqual([])
  }, 90_000)

  it('are refused where only one process can know what must be known', async () => {
    const unowned = servers.migration({ mode: 'snapshot', workers: 2, source: servers.url })
    await expect(unowned.start()).rejects.toMatchObject({
      code: 'FM_PREFLIGHT_REFUSED',
      message: expect.stringContaining('leave --workers out'),
    })
  })
})
