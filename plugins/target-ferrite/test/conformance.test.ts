import { mkdtempSync, readFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { testTarget } from '@ferrite-migrate/conformance'
import { Registry, silentLogger } from '@ferrite-migrate/core'
import { FerriteEmulator } from '@ferrite-migrate/ferrite-emulator'
import { parseEndpoint, RedisLink } from '@ferrite-migrate/redis'
import { findServer, type ServerVersion, TestServer } from '@ferrite-migrate/servers'
import { afterAll, beforeAll, describe, it } from 'vitest'

const root = resolve(import.meta.dirname, '..')
const registry = new Registry([
  {
    name: 'target-ferrite',
    root,
    packageJson: JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as Record<string, unknown>,
  },
])

describe.each(['6.2', '7.0', '8.2', 'valkey-9.1', 'ferrite', 'emulator'] as (ServerVersion | 'emulator')[])(
  'over %s',
  async (kind) => {
    const found = await findServer(kind === 'emulator' ? '7.0' : kind)
    if ('reason' in found) {
      it('conforms', (test) => test.skip(found.reason))
      return
    }
    let server: TestServer
    let emulator: FerriteEmulator | undefined
    let url: string
    beforeAll(async () => {
      server = await TestServer.start(kind === 'emulator' ? {} : { version: kind })
      if (kind === 'emulator') emulator = await FerriteEmulator.start(parseEndpoint(server.url))
      url = emulator?.url ?? server.url
    })
    afterAll(async () => {
      await emulator?.stop()
      await server?.stop()
    })
    testTarget({ describe, it }, 'ferrite', async () => {
      const link = await RedisLink.open(parseEndpoint(server.url))
      await link.call('FLUSHALL')
      link.close()
      return {
        target: await registry.target(
          url,
          {},
          {},
          {
            logger: silentLogger,
            signal: new AbortController().signal,
            tempDir: mkdtempSync(join(tmpdir(), 'fm-kit-')),
          },
        ),
      }
    })
  },
)
