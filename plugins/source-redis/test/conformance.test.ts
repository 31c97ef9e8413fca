import { mkdtempSync, readFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { type SourceSubject, sampleRecords, testAddress, testSource } from '@ferrite-migrate/conformance'
import { type Source, stringRecord } from '@ferrite-migrate/contracts'
import { type FoundPlugin, Registry, silentLogger } from '@ferrite-migrate/core'
import { parseEndpoint, RedisLink } from '@ferrite-migrate/redis'
import { findServer, freePort, type ServerVersion, TestServer } from '@ferrite-migrate/servers'
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

testAddress({ describe, it }, 'of a Redis', async () => ({
  locate: (url) => parseEndpoint(url).locate,
  places: [
    [
      ...[
        'redis://host',
        'redis://host:6379',
        'redis://HOST:6379/3',
        'rediss://host',
        'valkey://host',
        'ferrite://host',
      ],
      ...['redis://user:s3cret@host:6379', 'redis://:s3cret@host?timeout=1'],
    ],
    ['redis://host:6380', 'valkeys://user@host:6380'],
    ['redis://[::1]', 'redis://[0:0:0:0:0:0:0:1]:6379'],
  ],
  wrong: [
    ...[
      'redis://',
      'redis://host:port',
      'redis://host:70000',
      'redis://host:0',
      'redis://host/x',
      'host:6379',
      'unix://',
    ],
    ...['redis://user:s3cret@', 'redis://user:s3cret@/x@host', 'redis://:s3cret%zz@host', 'redis://:s3cret@host:x'],
  ],
  password: 's3cret',
}))

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
      const open = (url: string): Promise<Source> => registry.source(url, { capture, 'batch-size': 4 }, {}, context())
      return {
        source: await open(server.url),
        expected,
        change: async (key, value) => {
          await target.write({ kind: 'snapshot', lane: 0, onConflict: 'replace', records: [stringRecord(key, value)] })
        },
        transaction: (entries) => call(['MULTI'], ...entries.map(([key, value]) => ['SET', key, value]), ['EXEC']),
        flush: () => call(['FLUSHALL']),
        reopen: () => open(server.url),
        broken: async () => open(`redis://127.0.0.1:${await freePort()}`),
        ...(capture === 'psync'
          ? { startOver: () => call(['DEBUG', 'CHANGE-REPL-ID'], ['CLIENT', 'KILL', 'TYPE', 'replica']) }
          : {}),
      }
    }
    testSource({ describe, it }, `redis by ${capture}`, make)
  }

  async function call(...commands: readonly (readonly string[])[]): Promise<void> {
    const link = await RedisLink.open(parseEndpoint(server.url))
    try {
      for (const command of commands) await link.call(...command)
    } finally {
      link.close()
    }
  }
})
