import { cpSync, mkdtempSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { sampleRecords, testContext, testSource } from '@ferrite-migrate/conformance'
import type { Source } from '@ferrite-migrate/contracts'
import { parseEndpoint, RedisLink } from '@ferrite-migrate/redis'
import { findServer, TestServer, until } from '@ferrite-migrate/servers'
import { createSource } from '@ferrite-migrate/source-aof'
import { afterAll, beforeAll, describe, it } from 'vitest'
import { openTarget } from '../../target-ferrite/test/target-server.js'

const expected = sampleRecords()
const recorded = Array.from({ length: 5 }, (_, i) => [`later:${i}`, `value ${i}`] as const)
const folder = mkdtempSync(join(tmpdir(), 'fm-kit-'))

function open(name: string, rebuild = false): Promise<Source> {
  return createSource(
    testContext(`aof://${join(folder, name)}`, {
      checksum: true,
      'batch-size': 1,
      'slice-limit': 8 << 20,
      rebuild,
    }),
  )
}

const found = await findServer('7.0')

describe.skipIf('reason' in found)(
  `an append-only file${'reason' in found ? ` (skipped: ${found.reason})` : ''}`,
  () => {
    let server: TestServer
    beforeAll(async () => {
      server = await TestServer.start({ version: '7.0', persistent: true })
      const target = await openTarget(server.url)
      await target.write({ kind: 'snapshot', lane: 0, records: expected, onConflict: 'replace' })
      await target[Symbol.asyncDispose]()
      const link = await RedisLink.open(parseEndpoint(server.url))
      try {
        await link.call('BGREWRITEAOF')
        await until(async () => {
          const info = String(await link.call('INFO', 'persistence'))
          return /aof_rewrite_in_progress:0/.test(info) && /aof_rewrite_scheduled:0/.test(info)
        }, 'the rewrite was over')
        cpSync(join(server.directory, 'appendonlydir'), join(folder, 'snapshot'), { recursive: true })
        for (const [key, value] of recorded) await link.call('SET', key, value)
      } finally {
        link.close()
      }
      cpSync(join(server.directory, 'appendonlydir'), join(folder, 'changes'), { recursive: true })
      writeFileSync(join(folder, 'broken.aof'), '*3\r\n$3\r\nSET\r\nnonsense')
    })
    afterAll(() => server?.stop())

    testSource({ describe, it }, 'aof, its commands as changes', async () => ({
      source: await open('changes'),
      expected,
      recorded,
      reopen: () => open('changes'),
      broken: () => open('broken.aof'),
    }))

    testSource({ describe, it }, 'aof, rebuilt', async () => ({
      source: await open('snapshot', true),
      expected,
      broken: () => open('broken.aof', true),
    }))
  },
)
