import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Registry, silentLogger } from '@ferrite-migrate/core'
import { afterEach, describe, expect, it } from 'vitest'
import { memory } from '../../core/test/memory-plugin/found.js'
import { status } from '../../core/test/state/stored-migration.js'
import { derivedStatus, MigrationService, type Notices, RpcSession } from '../dist/index.js'

const open: { close(): Promise<void> | void }[] = []
const folders: string[] = []

afterEach(async () => {
  for (const one of open.splice(0).reverse()) await one.close()
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true, force: true })
})

function service(allowHooks = false): MigrationService {
  const stateDir = mkdtempSync(join(tmpdir(), 'fm-api-'))
  folders.push(stateDir)
  const registry = new Registry([memory])
  const made = new MigrationService({
    stateDir,
    registry,
    logger: silentLogger,
    version: '1.2.3',
    allowHooks,
    allowSecretPlaces: false,
  })
  open.push({
    close: async () => {
      await made.stop()
      made.close()
    },
  })
  return made
}

type Told = { method: keyof Notices; params: { id: string; phase?: string; status?: { keysDone: number } } }

describe('the service behind the protocol', () => {
  it('runs a migration in a process of its own, tells what happens, and answers about it', async () => {
    const told: Told[] = []
    const api = service()
    const session = new RpcSession({
      service: api,
      logger: silentLogger,
      send: (message) => told.push(message as Told),
    })
    open.push(session)
    const ask = async (method: string, params: object): Promise<Record<string, unknown>> => {
      const answer = await session.take(JSON.stringify({ jsonrpc: '2.0', id: 1, method, params }))
      expect(answer).toHaveProperty('result')
      return (answer as { result: Record<string, unknown> }).result
    }
    const config = { source: 'memory://30', target: 'memory://none', mode: 'snapshot' }
    expect(await ask('migration.plan', { config })).toMatchObject({ refused: false, plan: { mode: 'snapshot' } })
    const { id } = await ask('migration.start', { config })
    expect(await ask('migration.wait', { id })).toMatchObject({
      ...{ state: 'COMPLETED', complete: true, progress: 100, keysDone: 60 },
    })
    expect(await ask('migration.report', { id })).toMatchObject({ plan: { mode: 'snapshot' }, status: { id } })
    expect(await ask('migration.list', {})).toMatchObject({ migrations: [{ id }] })
    const { events } = (await ask('migration.events', { id })) as { events: { number: number; text: string }[] }
    expect(events.map(({ text }) => text)).toContain('COMPLETED')
    expect(await ask('migration.events', { id, after: events.at(-1)?.number })).toEqual({ events: [] })
    const { samples } = (await ask('migration.metrics', { id })) as { samples: { name: string; value: number }[] }
    expect(samples.find(({ name }) => name === 'ferrite_migrate_keys_written_total')?.value).toBe(60)
    await expect.poll(() => told.some(({ params }) => params.phase === 'COMPLETED')).toBe(true)
    expect(told.filter(({ method }) => method === 'progress').at(-1)?.params.status?.keysDone).toBe(60)
  })

  it('says what is wrong with a configuration, and nothing of its values', async () => {
    const session = new RpcSession({ service: service(), logger: silentLogger, send: null })
    open.push(session)
    const config = { source: 'memory://1', target: 'memory://1', options: { batch_size: 'sesame' }, pasword: 'sesame' }
    const answer = JSON.stringify(
      await session.take(JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'migration.start', params: { config } })),
    )
    expect(answer).toContain('FM_CONFIG_INVALID')
    expect(answer).toContain('options.batch_size: ')
    expect(answer).toContain('pasword: there is no such field')
    expect(answer).not.toContain('sesame')
  })

  it('names a wait that was in vain, and gives back no number altered', async () => {
    const session = new RpcSession({ service: service(), logger: silentLogger, send: null })
    open.push(session)
    const ask = async (id: string, method: string, params: object): Promise<string> =>
      JSON.stringify(
        await session.take(`{"jsonrpc":"2.0","id":${id},"method":"${method}","params":${JSON.stringify(params)}}`),
      )
    const config = { id: 'slow', source: 'memory://30', target: 'memory://none', mode: 'live' }
    expect(await ask('1', 'migration.start', { config })).toContain('"slow"')
    const waited = await ask('2', 'migration.wait', { id: 'slow', until: 'end', timeoutMs: 300 })
    expect(waited).toContain('FM_WAIT_TIMEOUT')
    expect(await ask('3', 'migration.wait', { id: 'slow', untill: 'end' })).toContain('untill: there is no such field')
    for (const id of ['12345678901234567890', '1e400'])
      expect(await ask(id, 'migration.list', {})).toContain('Invalid Request')
  })

  it('asks no other servers in the name of a migration: they would get its passwords', async () => {
    const session = new RpcSession({ service: service(), logger: silentLogger, send: null })
    open.push(session)
    const ask = async (method: string, params: object): Promise<string> =>
      JSON.stringify(await session.take(JSON.stringify({ jsonrpc: '2.0', id: 1, method, params })))
    const config = { id: 'known', source: 'memory://30', target: 'memory://none', mode: 'snapshot' }
    await ask('migration.start', { config })
    await ask('migration.wait', { id: 'known' })
    for (const method of ['migration.verify', 'migration.analyze', 'migration.rollback'])
      expect(await ask(method, { id: 'known', config: { source: 'redis://elsewhere:6379' } })).toContain(
        'FM_RESUME_MISMATCH',
      )
    for (const source of [
      'unix://30/tmp/evil.sock',
      'memory://30/other',
      'memory://30@elsewhere',
      'memory://30?node-map=a:1',
      { url: 'memory://30', options: { 'node-map': 'a:1=b:2' } },
    ])
      expect([source, await ask('migration.verify', { id: 'known', config: { source } })]).toEqual([
        source,
        expect.stringContaining('FM_RESUME_MISMATCH'),
      ])
    expect(await ask('migration.verify', { id: 'known', config: { source: 'memory://user:pass@30' } })).not.toContain(
      'FM_RESUME_MISMATCH',
    )
    const resumed = await ask('migration.start', { resume: 'known', config: { target: 'redis://elsewhere:6379' } })
    expect(resumed).toContain('FM_RESUME_MISMATCH')
  })

  it('takes no shell commands unless it may', async () => {
    const session = new RpcSession({ service: service(), logger: silentLogger, send: null })
    open.push(session)
    const params = { id: 'x', hook: 'true' }
    expect(
      await session.take(JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'migration.cutover', params })),
    ).toMatchObject({ error: { data: { code: 'FM_HOOK_REFUSED' } } })
  })

  it('never calls whole what is not over', () => {
    const running = { ...status(), state: 'RUNNING', phase: 'INITIAL_SYNC' } as const
    expect(derivedStatus({ ...running, keysDone: 1000, keysTotal: 1000 }).progress).toBe(99.9)
    expect(derivedStatus({ ...running, keysDone: 1, keysTotal: 3 }).progress).toBe(33.3)
    expect(derivedStatus({ ...running, keysTotal: null, bytesTotal: null }).progress).toBe(null)
    expect(derivedStatus({ ...running, phase: 'LIVE_SYNC', inSync: false }).complete).toBe(false)
    expect(derivedStatus({ ...running, phase: 'LIVE_SYNC', inSync: true })).toMatchObject({
      complete: true,
      progress: 100,
    })
  })
})
