import type { ByteFeed } from '@ferrite-migrate/protocol'
import { describe, expect, it } from 'vitest'
import { RdbWriter, rdbLength, rdbString } from '../../../protocol/test/rdb-writer.js'
import { analyzeRdb, type KeyRow, type RdbAnalysisOptions } from '../../dist/index.js'

const STRING = 0
const LIST = 1
const HASH = 4
const AUX = 0xfa
const SELECT = 0xfe
const EXPIRE_MS = 0xfc

function feed(data: Buffer): ByteFeed {
  let at = 0
  return {
    next: async () => {
      if (at >= data.length) return null
      at += 100_000
      return data.subarray(at - 100_000, at)
    },
  }
}
const list = (...items: string[]): Buffer =>
  Buffer.concat([rdbLength(items.length), ...items.map((item) => rdbString(item))])
const pairs = (...items: string[]): Buffer =>
  Buffer.concat([rdbLength(items.length / 2), ...items.map((item) => rdbString(item))])
const analyze = (data: Buffer, given: Partial<RdbAnalysisOptions> = {}) =>
  analyzeRdb(feed(data), { checksum: true, topKeys: 3, signal: new AbortController().signal, ...given })

/** When the next record ends. */
function end(at: number): Buffer {
  const bytes = Buffer.alloc(9)
  bytes[0] = EXPIRE_MS
  bytes.writeBigUInt64LE(BigInt(at), 1)
  return bytes
}
const file = new RdbWriter(11)
  .raw([AUX])
  .raw(rdbString('redis-ver'))
  .raw(rdbString('7.2.0'))
  .record(STRING, 'user:1', rdbString('hello'))
  .record(STRING, 'user:2', rdbString('hello world'))
  .record(HASH, 'cart:7', pairs('field', 'a long value', 'g', 'h'))
  .raw([SELECT, 3])
  .raw(end(1000))
  .record(LIST, 'jobs', list('x', 'y', 'z'))
  .record(STRING, 'hll', rdbString(`HYLL${'\0'.repeat(12)}`))
  .end(11)

describe('an RDB', () => {
  it('is summed up by types, databases, ends and the shapes of its names', async () => {
    const { types, databases, ttl, patterns, bigKeys, ...facts } = await analyze(file)
    expect(facts).toMatchObject({
      ...{ rdbVersion: 11, valkey: false, fileBytes: file.length, inflatedBytes: file.length, keys: 5 },
      ...{ aux: { 'redis-ver': '7.2.0' }, functions: [], modules: [], hyperLogLogs: 1, hashesWithFieldExpiry: 0 },
    })
    expect(types.map(({ type, keys, elements }) => [type, keys, elements]).sort()).toEqual([
      ['hash', 1, 2],
      ['list', 1, 3],
      ['string', 3, 3],
    ])
    expect(databases).toEqual([
      { db: 0, keys: 3 },
      { db: 3, keys: 2 },
    ])
    expect(ttl.filter(({ keys }) => keys > 0)).toEqual([
      { name: 'no expiry', keys: 4 },
      { name: 'expired', keys: 1 },
    ])
    expect(patterns.find(({ pattern }) => pattern === 'user:*')).toMatchObject({ keys: 2 })
    expect(bigKeys.map(({ key }) => key)).toEqual(['cart:7', 'hll', 'user:2'])
  })

  it('gives every key for a table', async () => {
    const rows: KeyRow[] = []
    await analyze(file, { onKey: ({ key, ...row }) => rows.push({ ...row, key: Buffer.from(key) }) })
    expect(
      rows.map(({ db, key, type, bytes, elements, expireAt, largestElement }) => [
        ...[db, String(key), type, bytes, elements, expireAt, largestElement],
      ]),
    ).toEqual([
      [0, 'user:1', 'string', 12, 1, 0, 5],
      [0, 'user:2', 'string', 18, 1, 0, 11],
      [0, 'cart:7', 'hash', 30, 2, 0, 12],
      [3, 'jobs', 'list', 11, 3, 1000, 1],
      [3, 'hll', 'string', 20, 1, 0, 16],
    ])
  })

  it('counts large values, which come in slices, with the bytes that they took', async () => {
    const items = Array.from({ length: 20 }, (_, i) =>
      String(i)
        .repeat(1 << 20)
        .slice(0, 1 << 20),
    )
    const data = new RdbWriter(11)
      .record(LIST, 'before', list('x'))
      .record(LIST, 'large', list(...items))
      .record(STRING, 'behind', rdbString('v'))
      .end(11)
    const rows: string[] = []
    const { types, bigKeys, inflatedBytes } = await analyze(data, {
      onKey: ({ key, elements, encoding }) => rows.push(`${key} ${encoding} ${elements}`),
    })
    expect(types.find(({ type }) => type === 'list')).toMatchObject({ keys: 2, elements: 21 })
    expect(bigKeys[0]).toMatchObject({ key: 'large', elements: 20 })
    expect(bigKeys[0].bytes).toBeGreaterThan(20 << 20)
    expect(Math.abs(inflatedBytes - data.length)).toBeLessThan(200)
    expect(rows).toContain('large list (large) 20')
    expect(rows).toHaveLength(3)
  })

  it('tells how far it is, and ends when it is told to', async () => {
    const writer = new RdbWriter(11)
    for (let i = 0; i < 60_000; i++) writer.record(STRING, `k${i}`, rdbString('v'))
    const data = writer.end(11)
    const told: number[] = []
    expect((await analyze(data, { onProgress: (keys) => told.push(keys) })).keys).toBe(60_000)
    expect(told).toEqual([50_000])
    expect((await analyze(data, { signal: AbortSignal.abort() })).keys).toBe(0)
  })

  it('that is damaged says so', async () => {
    const broken = Buffer.from(file)
    broken[file.length - 1] ^= 1
    await expect(analyze(broken)).rejects.toMatchObject({ code: expect.stringMatching(/^FM_RDB_/) })
    await expect(analyze(file.subarray(0, 60))).rejects.toMatchObject({ code: expect.stringMatching(/^FM_RDB_/) })
  })
})
