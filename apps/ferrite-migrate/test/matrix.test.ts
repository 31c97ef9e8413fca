import { parseEndpoint } from '@ferrite-migrate/redis'
import { findServer, type ServerVersion, TestServer } from '@ferrite-migrate/servers'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { command, differences, migrateDuring, migration } from './run.js'
import { RARE, runWorkload } from './workload.js'

const VERSIONS: readonly ServerVersion[] = ['6.2', '7.0', '8.2', 'valkey-9.1']
const sources = new Map<ServerVersion, TestServer>()
const targets = new Map<ServerVersion, TestServer>()
const missing = new Map<ServerVersion, string>()

beforeAll(async () => {
  for (const version of VERSIONS) {
    const found = await findServer(version)
    if ('reason' in found) missing.set(version, found.reason)
    else {
      sources.set(version, await TestServer.start({ version }))
      targets.set(version, await TestServer.start({ version }))
    }
  }
})
afterAll(async () => {
  for (const server of [...sources.values(), ...targets.values()]) await server.stop()
})

describe.each(VERSIONS)('from %s', (from) => {
  describe.each(VERSIONS)('to %s', (to) => {
    it('snapshot and live end equal', async (context) => {
      for (const version of [from, to])
        if (missing.has(version)) return context.skip(`${version}: ${missing.get(version)}`)
      const source = sources.get(from)!
      const target = targets.get(to)!
      const fields = [from, to].every((version) => version === '8.2' || version === 'valkey-9.1')
      await command(source.url, 'FLUSHALL')
      await command(target.url, 'FLUSHALL')
      await runWorkload(parseEndpoint(source.url), 0.7, 11, RARE, 6000)

      const snapshot = await migration({ mode: 'snapshot', source: source.url, target: target.url }).start()
      expect(snapshot.failures).toEqual([])
      expect(await differences(source.url, target.url, { fieldExpiry: fields })).toEqual([])
      if ((from === '8.2' || from === 'valkey-9.1') && !fields)
        expect(snapshot.notCarried.find((one) => one.what === 'hash-field-ttl')?.examples).toEqual(['hx'])

      await command(target.url, 'FLUSHALL')
      const workload = runWorkload(parseEndpoint(source.url), 1.2, 12, RARE, 5000)
      const live = await migrateDuring({ source: source.url, target: target.url }, () => workload)
      expect(live.failures).toEqual([])
      expect(live.status.apply).toBe('replay')
      expect(await differences(source.url, target.url, { fieldExpiry: fields })).toEqual([])
    })
  })
})
