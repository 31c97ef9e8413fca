import type { Undo } from '@ferrite-migrate/core'
import { TestServer } from '@ferrite-migrate/servers'
import { Redis } from 'ioredis'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { RunKeys } from '../dist/connection/run-keys.js'
import { QueueJournal } from '../dist/shared/queue-journal.js'

const MB = 1 << 20
const keys = new RunKeys('{p}', 'm')
let server: TestServer
let link: Redis
beforeAll(async () => {
  server = await TestServer.start()
  link = new Redis(server.url)
})
afterAll(async () => {
  link.disconnect()
  await server.stop()
})

const created = (name: string, db = 0): Undo => ({ db, key: Buffer.from(name, 'latin1'), before: null })
function had(name: string, value: Buffer | string = 'v'): Undo {
  const key = Buffer.from(name, 'latin1')
  const body = Buffer.isBuffer(value) ? value : Buffer.from(value)
  return { db: 0, key, before: { db: 0, key, expireAt: 7, value: { form: 'items', type: 'list', items: [body] } } }
}
async function allOf(of: QueueJournal): Promise<Undo[]> {
  const all: Undo[] = []
  for await (const page of of.entries()) all.push(...page)
  return all.sort((a, b) => a.db - b.db || Buffer.compare(a.key, b.key))
}

describe('an undo journal in a server', () => {
  let journal: QueueJournal
  beforeEach(async () => {
    await link.flushall()
    journal = new QueueJournal(link, 'queue', keys, 64 * MB)
    await journal.begin()
  })

  it('gives back what it was given, whatever bytes that are, and of a key what came first', async () => {
    expect(await allOf(journal)).toEqual([])
    const entries = [created(' \x00\xff 1', 12), created(''), had('b \r\n', Buffer.from([0, 255, 13, 10])), had('c')]
    await journal.keep(entries)
    await journal.keep([had('c', 'later'), had('', 'was new')])
    const byName = (a: Undo, b: Undo) => a.db - b.db || Buffer.compare(a.key, b.key)
    expect(await allOf(journal)).toEqual([...entries].sort(byName))
    await journal.drop([entries[0], entries[3]])
    expect((await allOf(journal)).map(({ key }) => key.toString())).toEqual(['', 'b \r\n'])
    await journal.remove()
    expect([await journal.exists(), await link.dbsize()]).toEqual([false, 0])
  })

  it('is as large as it likes', async () => {
    for (let i = 0; i < 20; i++)
      await journal.keep(Array.from({ length: 500 }, (_, j) => (j % 2 ? had(`k${i}-${j}`) : created(`k${i}-${j}`))))
    const all = await allOf(journal)
    expect(new Set(all.map(({ key }) => key.toString())).size).toBe(10_000)
    expect(all.filter(({ before }) => before === null).length).toBeGreaterThanOrEqual(5000)
  })

  it('has a limit, by what it takes once', async () => {
    const small = new QueueJournal(link, 'queue', keys, MB)
    const half = Array.from({ length: 5 }, (_, i) => had(`k${i}`, Buffer.alloc(100_000)))
    await small.keep(half)
    for (let i = 0; i < 5; i++) await small.keep(half)
    await expect(small.keep(half.map(({ key }) => had(`x${key}`, Buffer.alloc(150_000))))).rejects.toMatchObject({
      code: 'FM_UNDO_FULL',
    })
  })

  it('says when its server has no memory left, and when it has lost something', async () => {
    await journal.keep([had('a')])
    await link.config('SET', 'maxmemory', '1')
    await expect(journal.keep([had('b')])).rejects.toMatchObject({ code: 'FM_UNDO_FULL' })
    await link.config('SET', 'maxmemory', '0')
    await link.hdel(keys.undoValues, '0 a')
    await expect(allOf(journal)).rejects.toMatchObject({ code: 'FM_ROLLBACK_NO_JOURNAL' })
    await link.flushall()
    await expect(journal.keep([had('c')])).rejects.toMatchObject({ code: 'FM_ROLLBACK_NO_JOURNAL' })
    expect(await journal.exists()).toBe(false)
  })

  it('is kept for a while after the end, and for ever until then', async () => {
    await journal.keep([had('a')])
    expect(await link.pttl(keys.undoValues)).toBe(-1)
    await journal.keepForAWhile()
    const times = await Promise.all([keys.undoKeys, keys.undoValues, keys.undoBytes].map((key) => link.pttl(key)))
    for (const ms of times) expect(ms).toBeGreaterThan(29 * 86_400_000)
  })
})
