import { cpSync, mkdtempSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { sampleRecords, testContext, testSource } from '@ferrite-migrate/conformance'
import type { Source } from '@ferrite-migrate/contracts'
import { parseEndpoint, RedisLink } from '@ferrite-migrate/redis'
import { findServer, TestServer } from '@ferrite-migrate/servers'
import { createSource } from '@ferrite-migrate/source-rdb'
import { afterAll, beforeAll, describe, it } from 'vitest'
import { openTarget } from '../../target-ferrite/test/target-server.js'

/** Elements of a list that is larger than the least limit for slices. */
const LARGE = Array.from({ length: 2000 }, (_, i) => Buffer.from(`${i}`.padStart(80, '-')))
const SLICE_LIMIT = 65_536

const expected = [
  ...sampleRecords(),
  {
    db: 0,
    key: Buffer.from('large'),
    value: { form: 'items', type: 'list', items: LARGE } as const,
    expireAt: 0,
  },
]

const folder = mkdtempSync(join(tmpdir(), 'fm-kit-'))

function open(file: string): Promise<Source> {
  return createSource(
    testContext(`rdb://${join(folder, file)}`, {
      checksum: true,
      inspect: true,
      'batch-size': 3,
      'slice-limit': SLICE_LIMIT,
    }),
  )
}

const found = await findServer('7.0')

describe.skipIf('reason' in found)(`an RDB file${'reason' in found ? ` (skipped: ${found.reason})` : ''}`, () => {
  let server: TestServer
  beforeAll(async () => {
    server = await TestServer.start({ version: '7.0', args: ['--rdbcompression', 'no'] })
    const target = await openTarget(server.url)
    await target.write({ kind: 'snapshot', lane: 0, records: expected, onConflict: 'replace' })
    await target[Symbol.asyncDispose]()
    const link = await RedisLink.open(parseEndpoint(server.url))
    await link.call('SAVE')
    link.close()
    cpSync(join(server.directory, 'dump.rdb'), join(folder, 'dump.rdb'))
    writeFileSync(join(folder, 'broken.rdb'), 'REDIS0011\xfe')
  })
  afterAll(() => server?.stop())

  testSource({ describe, it }, 'rdb', async () => ({
    source: await open('dump.rdb'),
    expected,
    reopen: () => open('dump.rdb'),
    broken: () => open('broken.rdb'),
  }))
})
