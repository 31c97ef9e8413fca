import { testTarget } from '@ferrite-migrate/conformance'
import { parseEndpoint, RedisLink } from '@ferrite-migrate/redis'
import type { TestServer } from '@ferrite-migrate/servers'
import { afterAll, beforeAll, describe, it } from 'vitest'
import { type TargetKind, TargetServer, targetMissing } from './target-server.js'

describe.each(['6.2', '7.0', '8.2', 'valkey-9.1', 'ferrite', 'emulator'] as TargetKind[])('over %s', async (kind) => {
  const missing = await targetMissing(kind)
  if (missing !== null) {
    it('conforms', (test) => test.skip(missing))
    return
  }
  let there: TargetServer
  beforeAll(async () => {
    there = await TargetServer.start(kind)
  })
  afterAll(() => there?.stop())
  testTarget({ describe, it }, 'ferrite', async () => {
    const link = await RedisLink.open(parseEndpoint(there.server.url))
    await link.call('FLUSHALL')
    link.close()
    // The emulator tells the same of itself whatever stands behind it.
    const losing = kind === 'emulator' ? {} : { lose: () => restarted(there.server) }
    return { target: await there.open(), ...losing }
  })
})

/** The server keeps no file: what was written is gone. */
async function restarted(server: TestServer): Promise<void> {
  await server.kill()
  await server.launch()
}
