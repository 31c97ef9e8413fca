import { spawn } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { MigrationClient } from '@ferrite-migrate/api/client'
import { until } from '@ferrite-migrate/servers'
import { StateStore } from 'ferrite-migrate'
import { afterEach, describe, expect, it } from 'vitest'
import { command, stateDir } from './run.js'
import { start, stops } from './servers.js'
import { cli } from './tool.js'

const BIN = resolve(import.meta.dirname, '..', 'bin', 'run.js')
const TRANSCRIPTS = resolve(import.meta.dirname, '..', '..', '..', 'packages', 'api', 'transcripts', 'basics.json')

interface Transcript {
  readonly name: string
  readonly steps: readonly { readonly send: string; readonly expect: unknown }[]
}

const clients: MigrationClient[] = []

afterEach(async () => {
  for (const client of clients.splice(0)) await client.close()
})

async function fill(url: string, keys: number): Promise<void> {
  await command(url, 'EVAL', "for i = 1, ARGV[1] do redis.call('SET', 's:' .. i, 'v' .. i) end", 0, keys)
}

async function sizeOf(url: string): Promise<number> {
  return Number(await command(url, 'DBSIZE'))
}

async function open(directory = stateDir()): Promise<MigrationClient> {
  const client = await MigrationClient.open({
    ...{ program: process.execPath, programArguments: [BIN], stateDir: directory },
  })
  clients.push(client)
  return client
}

/** At least the fields of `wanted`; "*" = anything. */
function pattern(wanted: unknown): unknown {
  if (wanted === '*') return expect.anything()
  if (Array.isArray(wanted)) return wanted.map(pattern)
  if (typeof wanted !== 'object' || wanted === null) return wanted
  return expect.objectContaining(Object.fromEntries(Object.entries(wanted).map(([name, of]) => [name, pattern(of)])))
}

describe('ferrite-migrate rpc', () => {
  const { transcripts } = JSON.parse(readFileSync(TRANSCRIPTS, 'utf8')) as { transcripts: Transcript[] }
  it.each(transcripts)('$name', async ({ steps }) => {
    const child = spawn(process.execPath, [BIN, 'rpc', '--state-dir', stateDir()], {
      stdio: ['pipe', 'pipe', 'inherit'],
    })
    stops.push(async () => void child.kill('SIGKILL'))
    const said: string[] = []
    let rest = ''
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      const lines = (rest + text).split('\n')
      rest = lines.pop() ?? ''
      said.push(...lines)
    })
    for (const [i, step] of steps.entries()) {
      child.stdin.write(`${step.send}\n`)
      await until(() => said.length > i, `an answer to ${step.send}`)
      expect(JSON.parse(said[i])).toEqual(pattern(step.expect))
    }
    child.stdin.end()
    expect(await new Promise((done) => child.once('exit', done))).toBe(0)
  })

  it('drives a live migration from its plan to its cutover, and compares both ends afterwards', async () => {
    const source = await start()
    const target = await start()
    await fill(source.url, 200)
    const client = await open()
    const phases: string[] = []
    const steps: string[] = []
    client.on('phase', ({ phase }) => phases.push(phase))
    client.on('step', ({ step }) => steps.push(step.name))
    const config = { source: source.url, target: target.url, mode: 'live' } as const
    expect(await client.call('migration.plan', { config })).toMatchObject({ refused: false, plan: { keys: 200 } })
    const { id } = await client.call('migration.start', { config })
    const caughtUp = await client.call('migration.wait', { id, until: 'complete' })
    expect(caughtUp).toMatchObject({ complete: true, progress: 100, state: 'RUNNING' })
    expect(await client.call('migration.pause', { id })).toMatchObject({ paused: true })
    expect(await client.call('migration.resume', { id })).toMatchObject({ paused: false })
    expect(await client.call('migration.verify', { id })).toMatchObject({ status: 'passed', success: true })
    const { samples } = await client.call('migration.metrics', { id })
    expect(samples.filter(({ name }) => name === 'ferrite_migrate_shard_lag_bytes')).toHaveLength(1)
    const cutover = await client.call('migration.cutover', { id, holdMs: 0 })
    expect(cutover.downtimeMs).toBeGreaterThanOrEqual(0)
    expect(steps).toEqual(cutover.steps.map(({ name }) => name))
    expect(await client.call('migration.wait', { id })).toMatchObject({ state: 'COMPLETED' })
    await command(target.url, 'SET', 'extra', '1')
    await command(target.url, 'DEL', 's:1')
    expect(await client.call('migration.verify', { id })).toMatchObject({ status: 'differences', missingTarget: 1 })
    expect(phases).toEqual(expect.arrayContaining(['INITIAL_SYNC', 'LIVE_SYNC', 'CUTOVER', 'COMPLETED']))
    await expect(client.call('migration.pause', { id })).rejects.toMatchObject({ code: 'FM_NOT_RUNNING' })
  })

  it('ends what it began with its client, so that it can go on, and leaves alone what was detached', async () => {
    const source = await start()
    const [one, other] = [await start(), await start()]
    await fill(source.url, 50)
    const directory = stateDir()
    const client = await open(directory)
    const begin = async (target: string, detach: boolean): Promise<string> => {
      const { id } = await client.call('migration.start', { config: { source: source.url, target }, detach })
      await client.call('migration.wait', { id, until: 'live' })
      return id
    }
    const own = await begin(one.url, false)
    const free = await begin(other.url, true)
    await client.close()
    const again = await open(directory)
    expect(await again.call('migration.status', { id: own })).toMatchObject({ state: 'INTERRUPTED' })
    expect(await again.call('migration.attach', { id: free })).toMatchObject({ state: 'RUNNING' })
    await again.call('migration.start', { resume: own })
    await again.call('migration.wait', { id: own, until: 'live' })
    expect(await again.call('migration.cancel', { id: own })).toEqual({ cancelled: true })
    expect(await again.call('migration.wait', { id: own })).toMatchObject({ state: 'INTERRUPTED' })
    const listed = await cli(['list', '--state-dir', directory])
    expect(listed.output).toContain(free)
    await again.call('migration.cancel', { id: free })
    await again.call('migration.wait', { id: free })
    expect(await again.call('migration.rollback', { id: free })).toMatchObject({ removed: 50, failed: 0 })
    expect(await sizeOf(other.url)).toBe(0)
  })

  it('survives a kill -9 of the client, and a client one of the tool', async () => {
    const source = await start()
    const target = await start()
    await fill(source.url, 50)
    const directory = stateDir()
    const client = await open(directory)
    const { id } = await client.call('migration.start', { config: { source: source.url, target: target.url } })
    await client.call('migration.wait', { id, until: 'live' })
    // Who is asked when the tool dies is told so; what the tool ran ends gracefully, as it would with a client that dies.
    const waiting = client.call('migration.wait', { id })
    process.kill(client.pid ?? 0, 'SIGKILL')
    await expect(waiting).rejects.toMatchObject({ code: 'FM_TOOL_LOST' })
    await expect(client.call('migration.list', {})).rejects.toMatchObject({ code: 'FM_TOOL_LOST' })
    const again = await open(directory)
    expect(await again.call('migration.wait', { id })).toMatchObject({ state: 'INTERRUPTED', error: null })
    await again.call('migration.start', { resume: id })
    expect(await again.call('migration.wait', { id, until: 'complete' })).toMatchObject({ complete: true })
    expect(await sizeOf(target.url)).toBeGreaterThanOrEqual(50)
  })

  it('lets a run that was detached go on, though nobody reads its log any more', async () => {
    const source = await start()
    const target = await start()
    const directory = stateDir()
    const client = await MigrationClient.open({
      ...{ program: process.execPath, programArguments: [BIN], stateDir: directory },
    })
    const { id } = await client.call('migration.start', { config: { source: source.url, target: target.url } })
    await client.call('migration.wait', { id, until: 'live' })
    await client.call('migration.detach', { id })
    await client.close()
    // It has something to say.
    await command(source.url, 'CLIENT', 'KILL', 'TYPE', 'replica')
    await command(source.url, 'SET', 'after', '1')
    await until(async () => String(await command(target.url, 'GET', 'after')) === '1', 'what came afterwards')
    const again = await open(directory)
    expect(await again.call('migration.status', { id })).toMatchObject({ state: 'RUNNING' })
    await again.call('migration.cancel', { id })
    await again.call('migration.wait', { id })
  })

  it('tells the end of a run that was killed', async () => {
    const source = await start()
    const target = await start()
    const directory = stateDir()
    const client = await open(directory)
    const phases: string[] = []
    const notes: string[] = []
    client.on('phase', ({ phase }) => phases.push(phase))
    client.on('note', ({ event }) => notes.push(event.type))
    const { id } = await client.call('migration.start', { config: { source: source.url, target: target.url } })
    await client.call('migration.attach', { id })
    await client.call('migration.wait', { id, until: 'live' })
    const store = new StateStore(directory)
    const { pid } = store.get(id)
    store.close()
    process.kill(pid, 'SIGKILL')
    await until(() => phases.at(-1) === 'INTERRUPTED', 'the news of its end')
    expect(phases).toEqual(['INITIAL_SYNC', 'LIVE_SYNC', 'INTERRUPTED'])
    expect(notes).toContain('started')
  })

  it('ends gracefully when it is told to by a signal', async () => {
    const source = await start()
    const target = await start()
    const directory = stateDir()
    const child = spawn(process.execPath, [BIN, 'rpc', '--state-dir', directory], { stdio: ['pipe', 'pipe', 'pipe'] })
    stops.push(async () => void child.kill('SIGKILL'))
    let said = ''
    let complained = ''
    child.stdout.on('data', (data: Buffer) => {
      said += data.toString('utf8')
    })
    child.stderr.on('data', (data: Buffer) => {
      complained += data.toString('utf8')
    })
    const params = { config: { source: source.url, target: target.url, id: 'm' } }
    child.stdin.write(`${JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'migration.start', params })}\n`)
    await until(() => said.includes('LIVE_SYNC'), 'a live run')
    child.kill('SIGTERM')
    expect({ code: await new Promise((done) => child.once('exit', done)), complained }).toMatchObject({ code: 130 })
    expect(complained).not.toContain('FM_')
    const store = new StateStore(directory)
    expect(store.get('m').status).toMatchObject({ state: 'INTERRUPTED', error: null })
    store.close()
  })

  it('has an error for each mistake of a client', async () => {
    const client = await open()
    await expect(client.ask('migration.fly', {})).rejects.toMatchObject({ code: 'FM_PROTOCOL' })
    await expect(client.ask('migration.status', {})).rejects.toMatchObject({ code: 'FM_PROTOCOL' })
    await expect(client.ask('migration.status', { id: 'none' })).rejects.toMatchObject({ code: 'FM_ID_UNKNOWN' })
    const places = { program: process.execPath, programArguments: [BIN], stateDir: stateDir() }
    await expect(MigrationClient.open({ ...places, protocolVersion: 99 })).rejects.toMatchObject({
      code: 'FM_PROTOCOL_VERSION',
    })
    await expect(MigrationClient.open({ program: '/nowhere' })).rejects.toMatchObject({ code: 'FM_TOOL_LOST' })
    await expect(MigrationClient.open({ environment: { PATH: '' } })).rejects.toMatchObject({ code: 'FM_TOOL_MISSING' })
  })
})
