import { setTimeout as sleep } from 'node:timers/promises'
import {
  ClusterWriter,
  freePort,
  keyspaceDifferences,
  SentinelGroup,
  type SentinelGroupOptions,
  type TestNode,
  until,
} from '@ferrite-migrate/servers'
import type { Migration } from 'ferrite-migrate'
import { afterEach, describe, expect, it } from 'vitest'
import { migration, stateDir } from './run.js'
import { start as startServer, stops } from './servers.js'
import { cli, Tool } from './tool.js'

const groups: SentinelGroup[] = []
async function start(options: SentinelGroupOptions = {}): Promise<SentinelGroup> {
  const group = await SentinelGroup.start({ args: ['--repl-backlog-size', '64mb'], ...options })
  groups.push(group)
  return group
}
afterEach(async () => {
  for (const group of groups.splice(0)) await group.stop()
})

/** Where the primary is now, for a client that asks the sentinels. */
function primaryOf(group: SentinelGroup): () => Promise<string> {
  return async () => (await group.primary()).url
}

async function killPrimary(group: SentinelGroup): Promise<void> {
  const primary = await group.primary()
  await group.kill(primary)
  await until(async () => (await group.primary()) !== primary, 'another primary')
  // Started before all sentinels have heard, it would be an empty primary for a moment.
  await group.waitUntilOk()
  await group.restart(primary)
  await group.waitUntilOk()
}

/** Waits until the replica has what the primary has now. */
async function replicaCaughtUp(group: SentinelGroup): Promise<void> {
  const primary = await group.primary()
  const offset = async (node: TestNode): Promise<number> =>
    Number((await node.facts('INFO', 'replication')).get('master_repl_offset'))
  const there = await offset(primary)
  const replicas = group.nodes.filter((node) => node !== primary)
  await until(async () => (await Promise.all(replicas.map(offset))).every((at) => at >= there), 'the replica caught up')
}

let marks = 0
/** Waits until what the source holds now is at the target. */
async function caughtUp(source: SentinelGroup, target: SentinelGroup): Promise<void> {
  const mark = `mark-${++marks}`
  await (await source.primary()).command('SET', '__mark__', mark)
  await until(
    async () => String(await (await target.primary()).command('GET', '__mark__').catch(() => null)) === mark,
    'the target caught up',
  )
}

/** Runs a migration; resolves when it follows changes. */
async function live(run: Migration): Promise<{ done: ReturnType<Migration['start']> }> {
  const following = new Promise<void>((resolve) => run.on('phase', (phase) => phase === 'LIVE_SYNC' && resolve()))
  const done = run.start()
  await Promise.race([following, done])
  return { done }
}

/** What differs between the two primaries of now: what a killed one acknowledged and nobody else got is gone at the source too. */
function differences(source: SentinelGroup, target: SentinelGroup): Promise<unknown[]> {
  return keyspaceDifferences(primaryOf(source), primaryOf(target), {
    leaveOut: (name) => name.startsWith('__ferrite_migrate__'),
  })
}

describe('sentinels at both ends', { timeout: 240_000 }, () => {
  it.each([
    ['replay', {}],
    ['state', { apply: 'state' }],
    ['notifications', { capture: 'notifications' }],
  ] as const)('failovers by command and by kill -9 at either end, under a writer, by %s', async (_, config) => {
    const [source, target] = await Promise.all([start(), start()])
    const run = migration({ source: source.url, target: target.url, ...config })
    const writer = await ClusterWriter.start(primaryOf(source), { perSecond: 600, clients: 3 })
    const { done } = await live(run)
    const faults = [
      () => source.failover(),
      () => target.failover(),
      () => killPrimary(source),
      () => killPrimary(target),
      () => Promise.all([source.failover(), target.failover()]),
    ]
    for (const fault of faults) {
      await fault()
      await sleep(800)
    }
    const log = await writer.stop()
    // A run that has failed says why.
    await Promise.race([caughtUp(source, target), done])
    if ('capture' in config) await until(async () => (await differences(source, target)).length === 0, 'equal ends')
    run.stop()
    const report = await done
    expect(report.notes.map(({ type }) => type)).toContain('target-lost')
    expect(await differences(source, target)).toEqual([])
    expect(log.count('acknowledged')).toBeGreaterThan(1000)
  })

  it('a replica that takes the place of a killed source goes on where the stream was', async () => {
    const [source, target] = await Promise.all([start(), start()])
    const run = migration({ source: source.url, target: target.url })
    const { done } = await live(run)
    for (let i = 0; i < 3; i++) {
      await (await source.primary()).command('RPUSH', 'list', `before ${i}`)
      await caughtUp(source, target)
      await replicaCaughtUp(source)
      await killPrimary(source)
      await (await source.primary()).command('RPUSH', 'list', `after ${i}`)
      await caughtUp(source, target)
    }
    run.stop()
    const report = await done
    expect(report.notes.filter(({ type }) => type === 'resync')).toEqual([])
    expect(await differences(source, target)).toEqual([])
  })

  it('goes on with --resume after the tool was killed and both ends failed over', async () => {
    const [source, target] = await Promise.all([start({ sentinelPassword: 's3cr3t-of-sentinels' }), start()])
    const state = ['--state-dir', stateDir()]
    const secret = { SENTINELS: 's3cr3t-of-sentinels' }
    const options = ['--source-option', 'sentinel-password-env=SENTINELS']
    const writer = await ClusterWriter.start(primaryOf(source), { perSecond: 500 })
    const first = new Tool(
      ['migrate', '--id', 'm', '-s', source.url, '-t', target.url, '-m', 'live', ...options, ...state],
      secret,
    )
    stops.push(() => first.kill())
    await first.says('LIVE_SYNC')
    await sleep(500)
    await first.kill()
    await source.failover()
    await killPrimary(target)
    await sleep(500)
    await writer.stop()
    const last = await cli(['migrate', '--resume', 'm', '--exit', ...state], secret)
    expect([last.code, last.output]).toEqual([0, expect.stringContaining('COMPLETED')])
    expect(last.output).not.toContain('s3cr3t')
    expect(await differences(source, target)).toEqual([])
  })

  it('cuts over; a failover behind the fence calls the cutover off', async () => {
    const [source, target] = await Promise.all([start({ password: 'of-data' }), start()])
    const state = ['--state-dir', stateDir()]
    const tool = new Tool(['migrate', '--id', 'm', '-s', source.url, '-t', target.url, '-m', 'live', ...state])
    stops.push(() => tool.kill())
    await tool.says('LIVE_SYNC')
    const writer = await ClusterWriter.start(primaryOf(source), { perSecond: 300 })
    await sleep(500)
    const hook = new Tool(['cutover', '--id', 'm', '--on-cutover', 'sleep 30; exit 1', ...state])
    stops.push(() => hook.kill())
    await hook.says(/ verify /)
    await source.failover()
    await hook.kill()
    await writer.stop()
    await caughtUp(source, target)
    await until(async () => (await cli(['status', '--id', 'm', ...state])).output.includes('LIVE_SYNC'), 'it goes on')
    const cut = await cli(['cutover', '--id', 'm', '--verify', ...state])
    expect([cut.code, cut.output]).toEqual([0, expect.stringContaining('CUT OVER')])
    expect(await tool.over).toBe(0)
    expect(tool.output).not.toContain('of-data')
    expect(await differences(source, target)).toEqual([])
  })
})

describe('what is wrong is said in one line', { timeout: 60_000 }, () => {
  it('by migrate, plan and doctor', async () => {
    const group = await start({ sentinelPassword: 's3cr3t-of-sentinels' })
    const target = await startServer()
    const hosts = group.sentinels.map(({ port }) => `127.0.0.1:${port}`).join(',')
    const primary = `127.0.0.1:${(await group.primary()).port}`
    const nobody = `127.0.0.1:${await freePort()}`
    const env = { SENTINELS: 's3cr3t-of-sentinels', WRONG: 's3cr3t-wrong' }
    const known = 'sentinel-password-env=SENTINELS'
    const run = async (source: string, ...options: string[]): Promise<[number | null, string]> => {
      const given = options.flatMap((option) => ['--source-option', option])
      const { code, output } = await cli(
        ['migrate', '-s', source, '-t', target.url, '-m', 'snapshot', ...given, '--state-dir', stateDir()],
        env,
      )
      expect(output).not.toContain('s3cr3t')
      expect(output).not.toMatch(/\n\s+at /)
      return [code, output]
    }
    const name = await run(`redis+sentinel://${hosts}/mian`, known)
    expect(name).toEqual([1, expect.stringMatching(/FM_SENTINEL_NAME.*"mian"[\s\S]*They know: main/)])
    const away = await run(`redis+sentinel://${nobody}/main`)
    expect(away).toEqual([1, expect.stringMatching(/FM_SENTINEL_AWAY.*nothing accepts connections/)])
    const wrong = await run(`redis+sentinel://${hosts}/main`, 'sentinel-password-env=WRONG')
    expect(wrong).toEqual([1, expect.stringMatching(/FM_AUTH_REFUSED.*the sentinel 127[\s\S]*sentinel-password/)])
    const none = await run(`redis+sentinel://${hosts}/main`)
    expect(none).toEqual([1, expect.stringMatching(/FM_AUTH_REQUIRED.*the sentinel 127[\s\S]*sentinel-password/)])
    const plain = await run(`redis://${hosts.split(',')[0]}`, 'password-env=SENTINELS')
    expect(plain).toEqual([2, expect.stringMatching(/FM_URL_INVALID.*is a sentinel[\s\S]*redis-sentinel:/)])
    const data = await run(`redis+sentinel://${primary}/main`)
    expect(data).toEqual([1, expect.stringMatching(/FM_SENTINEL_NONE.*is no sentinel/)])
    const nat = await run(`redis+sentinel://${hosts}/main`, known, `node-map=${primary}=${nobody}`)
    expect(nat[0]).toBe(1)
    expect(nat[1]).toContain('FM_CONNECT_REFUSED')
    expect(nat[1].replaceAll(/\s+/g, ' ')).toContain(`node-map=${primary}=<host:port that is reachable>`)
    expect(await run('redis+sentinel://h/main/x')).toEqual([2, expect.stringContaining('FM_URL_INVALID')])
    expect(await run('redis+sentinel://h/main', 'node-map=x')).toEqual([2, expect.stringContaining('FM_OPTION_VALUE')])
    const plan = await cli(
      ['migrate', '--dry-run', '-s', `redis+sentinel://${hosts}/main`, '-t', target.url, '--source-option', known],
      env,
    )
    expect([plan.code, plan.output.replaceAll(/\s+/g, ' ')]).toEqual([
      0,
      expect.stringContaining(`the sentinels name ${primary} as the primary of the source`),
    ])
    expect(plan.output).toContain('redis+sentinel://127.0.0.1:')
  })
})
