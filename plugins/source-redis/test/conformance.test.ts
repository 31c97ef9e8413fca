import { mkdtempSync, readFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { type SourceSubject, sampleRecords, testSource } from '@ferrite-migrate/conformance'
import { type FoundPlugin, Registry, silentLogger } from '@ferrite-migrate/core'
import { findServer, type ServerVersion, TestServer } from '@ferrite-migrate/servers'
import { afterAll, beforeAll, describe, it } from 'vitest'

function plugin(folder: string): FoundPlugin {
  const root = resolve(import.meta.dirname, '..', '..', folder)
  return {
    name: folder,
    root,
    packageJson: JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as Record<string, unknown>,
  }
}
const registry = new Registry([plugin('source-redis'), plugin('target-ferrite')])
const context = () => ({
  logger: silentLogger,
  signal: new AbortController().signal,
  tempDir: mkdtempSync(join(tmpdir(), 'fm-kit-')),
})

describe.each(['6.2', '7.0', '8.2', 'valkey-9.1'] as ServerVersion[])('over %s', async (version) => {
  const found = await findServer(version)
  if ('reason' in found) {
    it('conforms', (test) => test.skip(found.reason))
    return
  }
  let server: TestServer
  beforeAll(async () => {
    server = await TestServer.start({ version })
  })
  afterAll(async () => {
    await server?.stop()
  })
  for (const capture of ['psync', 'notifications']) {
    const make = async (): Promise<SourceSubject> => {
      const expected = sampleRecords()
      const target = await registry.target(server.url, {}, {}, context())
      const reader = target.reader()
      for await (const page of reader.keys())
        await target.write({ kind: 'snapshot', lane: 0, records: [], deletes: page, onConflict: 'replace' })
      await reader.close()
      await target.write({ kind: 'snapshot', lane: 0, records: expected, onConflict: 'replace' })
      const source = await registry.source(server.url, { capture }, {}, context())
      return {
        source,
        expected,
        change: async (key, value) => {
          await target.write({
            kind: 'snapshot',
            lane: 0,
            onConflict: 'replace',
            records: [
              {
                db: 0,
                key: Buffer.from(key),
                value: { form: 'items', type: 'string', items: [Buffer.from(value)] },
                expireAt: 0,
              },
            ],
          })
        },
      }
    }
    // `changed` came as MSET or SET: its first argument is the key in both.
    testSource({ describe, it }, `redis by ${capture}`, make)
  }
})
