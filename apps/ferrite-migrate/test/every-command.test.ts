import { FerriteEmulator } from '@ferrite-migrate/ferrite-emulator'
import { parseEndpoint } from '@ferrite-migrate/redis'
import { findServer, TestServer } from '@ferrite-migrate/servers'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { command, differences, migrateDuring } from './run.js'
import { RARE, runWorkload } from './workload.js'

describe('a writer issuing every write command', () => {
  let source: TestServer
  let target: TestServer
  beforeAll(async () => {
    source = await TestServer.start()
    target = await TestServer.start()
  })
  afterAll(async () => {
    await source?.stop()
    await target?.stop()
  })

  it('ends equal on redis-server, by replay', async () => {
    await runWorkload(parseEndpoint(source.url), 1, 1)
    const workload = runWorkload(parseEndpoint(source.url), 6, 2)
    const report = await migrateDuring({ source: source.url, target: target.url }, () => workload)
    expect(report.status.apply).toBe('replay')
    expect(report.failures).toEqual([])
    expect(await differences(source.url, target.url)).toEqual([])
    expect(String(await command(target.url, 'FUNCTION', 'LIST'))).toContain('lib')
  })

  it('ends equal on redis-server, by state', async () => {
    await command(source.url, 'FLUSHALL')
    await command(target.url, 'FLUSHALL')
    const workload = runWorkload(parseEndpoint(source.url), 5, 3)
    const report = await migrateDuring({ source: source.url, target: target.url, apply: 'state' }, () => workload)
    expect(report.failures).toEqual([])
    expect(await differences(source.url, target.url)).toEqual([])
  })

  it('ends equal by scan and notifications', async () => {
    await command(source.url, 'FLUSHALL')
    await command(target.url, 'FLUSHALL')
    const workload = runWorkload(parseEndpoint(source.url), 4, 4, RARE.slice(2, 4))
    const report = await migrateDuring(
      { source: source.url, target: target.url, capture: 'notifications' },
      () => workload,
    )
    expect(report.status.capture).toBe('notifications')
    expect(await differences(source.url, target.url)).toEqual([])
  })

  it('ends equal on the Ferrite emulator', async () => {
    await command(source.url, 'FLUSHALL')
    await command(target.url, 'FLUSHALL')
    const emulator = await FerriteEmulator.start(parseEndpoint(target.url))
    try {
      const workload = runWorkload(parseEndpoint(source.url), 5, 5)
      const report = await migrateDuring({ source: source.url, target: emulator.url }, () => workload)
      expect(report.status.apply).toBe('state')
      expect(await differences(source.url, emulator.url, { ferrite: true, fieldExpiry: false })).toEqual([])
    } finally {
      await emulator.stop()
    }
  })

  it('ends equal on a real Ferrite', async (context) => {
    const found = await findServer('ferrite')
    if (!('program' in found)) return context.skip(found.reason)
    await command(source.url, 'FLUSHALL')
    const ferrite = await TestServer.start({ version: 'ferrite' })
    try {
      const workload = runWorkload(parseEndpoint(source.url), 5, 6)
      await migrateDuring({ source: source.url, target: `ferrite://127.0.0.1:${ferrite.port}` }, () => workload)
      expect(await differences(source.url, ferrite.url, { ferrite: true, fieldExpiry: false })).toEqual([])
    } finally {
      await ferrite.stop()
    }
  })
})
