import { setTimeout as sleep } from 'node:timers/promises'
import { type ConflictPolicy, PackedRecord, type SnapshotRecord } from '@ferrite-migrate/contracts'
import { parseEndpoint, RedisLink } from '@ferrite-migrate/redis'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type TargetKind, TargetServer, targetMissing } from './target-server.js'

const STANDSTILL_MS = 2500
const HOUR = 3_600_000

/** A string as it stands in a dump of Redis: its length in one byte, then its bytes. */
function raw(name: string, expireAt: number): SnapshotRecord {
  const data = Buffer.from(`${name}\x05value`)
  const end = name.length
  return new PackedRecord(0, expireAt, data, 0, end, end, data.length, 0, 10)
}

describe.each(['7.0', 'ferrite', 'emulator'] as TargetKind[])('a target %s', async (kind) => {
  const missing = await targetMissing(kind)
  if (missing !== null) {
    it('is there', (test) => test.skip(missing))
    return
  }
  let there: TargetServer
  beforeAll(async () => {
    there = await TargetServer.start(kind)
  })
  afterAll(() => there?.stop())

  it.each(['replace', 'skip'] as ConflictPolicy[])(
    'that stands still for a while gets the same ends (%s)',
    async (onConflict) => {
      await using target = await there.open()
      const { server } = there
      const look = await RedisLink.open(parseEndpoint(there.url))
      try {
        const write = (records: readonly SnapshotRecord[]) =>
          target.write({ kind: 'snapshot', lane: 0, records, onConflict })
        const name = (rest: string): string => `${onConflict}:${rest}`
        const mine = Date.now() + 2 * HOUR
        await look.call('SET', name('there'), 'x')
        await look.call('PEXPIREAT', name('there'), mine)
        await write([{ db: 0, key: Buffer.from(name('opens')), value: items('string', ['x']), expireAt: 0 }])
        const expireAt = Date.now() + HOUR
        server.signal('SIGSTOP')
        const written = write([
          raw(name('raw'), expireAt),
          { db: 0, key: Buffer.from(name('string')), value: items('string', ['x']), expireAt },
          { db: 0, key: Buffer.from(name('list')), value: items('list', ['a', 'b']), expireAt },
          raw(name('there'), expireAt),
        ])
        await sleep(STANDSTILL_MS)
        server.signal('SIGCONT')
        const { failed, skipped } = await written
        expect(failed).toEqual([])
        expect(skipped).toBe(onConflict === 'skip' ? 1 : 0)
        for (const key of ['raw', 'string', 'list'])
          expect.soft(await look.call('PEXPIRETIME', name(key)), key).toBe(expireAt)
        expect(await look.call('PEXPIRETIME', name('there'))).toBe(onConflict === 'skip' ? mine : expireAt)
      } finally {
        server.signal('SIGCONT')
        look.close()
      }
    },
    20_000,
  )
})

function items(type: 'string' | 'list', values: readonly string[]): SnapshotRecord['value'] {
  return { form: 'items', type, items: values.map((value) => Buffer.from(value)) }
}
