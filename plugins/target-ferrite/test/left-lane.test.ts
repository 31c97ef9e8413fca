import { setTimeout as sleep } from 'node:timers/promises'
import { testContext } from '@ferrite-migrate/conformance'
import { changeOf, stringRecord } from '@ferrite-migrate/contracts'
import { TestServer } from '@ferrite-migrate/servers'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { createTarget } from '../dist/index.js'

let server: TestServer
beforeEach(async () => {
  server = await TestServer.start({ persistent: true })
})
afterEach(() => server.stop())

const OPTIONS = { 'sync-timeout': 60_000, 'slice-limit': 1 << 20, unsupported: 'degrade' }

describe('a lane that another shard’s recovery leaves', () => {
  it.each([
    [
      'changes',
      { kind: 'changes', lane: 1, records: [changeOf(0, ['SET', 'a', '1'])] } as const,
      { migration: 'm', shard: 's', position: '1', dirty: [] },
    ],
    [
      'a snapshot',
      { kind: 'snapshot', lane: 1, records: [stringRecord('a', '1')], onConflict: 'replace' } as const,
      undefined,
    ],
  ])('says that the target was lost, whatever its connection was waiting for: %s', async (_, batch, checkpoint) => {
    const target = await createTarget(testContext(server.url, OPTIONS))
    await server.kill()
    const written = expect(target.write(batch, checkpoint)).rejects.toMatchObject({ code: 'FM_TARGET_LOST' })
    await sleep(50)
    // It finds nobody either, and has left the lanes by then.
    await expect(target.reconnect?.()).rejects.toMatchObject({ retryable: true })
    await written
    await target[Symbol.asyncDispose]()
  })
})
