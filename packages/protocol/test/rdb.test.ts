import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { SnapshotRecord, StreamEntry, ValueSlice } from '@ferrite-migrate/contracts'
import { parseEndpoint, RedisKeyReader, RedisLink } from '@ferrite-migrate/redis'
import { findServer, type ServerVersion, TestServer } from '@ferrite-migrate/servers'
import { describe, expect, it } from 'vitest'
import {
  type ByteFeed,
  ByteWindow,
  decodeValue,
  digestValue,
  FerriteTranscoder,
  RdbReader,
  type RdbReaderOptions,
  RespWriter,
  scoreBits,
  ValueDigest,
  writeFerritePayload,
} from '../dist/index.js'

/** A feed of these chunks. */
function feedOf(chunks: Iterable<Buffer>): ByteFeed {
  const iterator = chunks[Symbol.iterator]()
  return { next: async () => iterator.next().value ?? null }
}

function* pieces(data: Buffer, size: number): Generator<Buffer> {
  for (let at = 0; at < data.length; at += size) yield data.subarray(at, at + size)
}

async function digestSlices(type: string, slices: AsyncIterable<ValueSlice>): Promise<string> {
  const items: Buffer[] = []
  const fieldExpireAt: number[] = []
  const entries: StreamEntry[] = []
  let stream: ValueSlice['stream']
  for await (const slice of slices) {
    items.push(...slice.items.map((item) => Buffer.from(item)))
    if (slice.fieldExpireAt) fieldExpireAt.push(...slice.fieldExpireAt)
    if (slice.entries)
      entries.push(
        ...slice.entries.map((entry) => ({ id: entry.id, fields: entry.fields.map((field) => Buffer.from(field)) })),
      )
    stream = slice.stream ?? stream
  }
  if (type === 'stream') return digestValue({ ...stream!, entries }).toString('hex')
  const whole = type === 'string' ? [Buffer.concat(items)] : items
  return digestValue({
    form: 'items',
    type: type as 'list',
    items: whole,
    ...(fieldExpireAt.length > 0 ? { fieldExpireAt } : {}),
  }).toString('hex')
}

/** Everything in an RDB as text, so that two readings can be compared. */
async function readAll(chunks: Iterable<Buffer>, options: RdbReaderOptions = {}): Promise<string[]> {
  const out: string[] = []
  const reader = new RdbReader(new ByteWindow(feedOf(chunks)), { checksum: true, ...options })
  const show = async ({ db, key, expireAt, value }: SnapshotRecord): Promise<string> => {
    const digest =
      value.form === 'sliced'
        ? await digestSlices(value.type, value.slices)
        : value.form === 'rdb' && value.type !== 7
          ? digestValue(decodeValue(value.type, value.body, value.rdbVersion)).toString('hex')
          : 'raw'
    return `${db} ${key.toString('latin1')} ${expireAt} ${digest}`
  }
  for await (const event of reader.read()) {
    if (event.kind === 'records') {
      for (const record of event.records) out.push(await show(record))
      event.block.release()
    } else if (event.kind === 'function') out.push(`function ${event.source.length}`)
  }
  return out.sort()
}

/** A real server's dump with every type in every encoding that this version makes by itself. */
async function goldenDump(version: ServerVersion): Promise<{ rdb: Buffer; digests: Map<string, string> } | string> {
  const found = await findServer(version)
  if ('reason' in found) return found.reason
  const server = await TestServer.start({ version })
  const link = await RedisLink.open(parseEndpoint(server.url))
  try {
    const big = 'x'.repeat(100)
    const commands: (string | Buffer | number)[][] = [
      ['SET', 'plain', 'hello'],
      ['SET', 'empty', ''],
      ['SET', 'int8', '-7'],
      ['SET', 'int16', '-30000'],
      ['SET', 'int32', '2000000000'],
      ['SET', 'int64', '9223372036854775807'],
      ['SET', 'lzf', 'abc'.repeat(2000)],
      ['SET', Buffer.from([0, 13, 10, 255, 65]), Buffer.from([255, 0, 1])],
      ['SET', '12345', 'integer key'],
      ['SET', 'ttl', '1', 'PX', '100000000'],
      ['RPUSH', 'list', 'a', '-1', '300', '70000', '-9000000000', '', big, 'z'.repeat(5000)],
      ['RPUSH', 'list-long', ...Array.from({ length: 600 }, (_, i) => `${i}:${'y'.repeat(40)}`)],
      ['SADD', 'set-int', '1', '-2', '70000', '9000000000'],
      ['SADD', 'set-small', 'a', '-5', big],
      ['SADD', 'set-packed', 'a', '-5', '70000'],
      ['HSET', 'hash-packed', 'f', 'v', '1', '-1'],
      ['SADD', 'set-large', ...Array.from({ length: 700 }, (_, i) => `m${i}`)],
      ['HSET', 'hash', 'f', 'v', '1', '-1', 'big', big, '', 'empty'],
      ['HSET', 'hash-large', ...Array.from({ length: 1400 }, (_, i) => `f${i}`)],
      ['ZADD', 'zset', '1.5', 'a', 'inf', 'top', '-inf', 'bottom', '3.0000000000000004', 'exact', '-0', 'zero'],
      ['ZADD', 'zset-large', ...Array.from({ length: 400 }, (_, i) => [String(i / 7), `m${i}`]).flat()],
      ...Array.from({ length: 130 }, (_, i) => [
        'XADD',
        'stream',
        `${1000 + i}-${i % 3}`,
        'a',
        `v${i}`,
        i % 2 ? 'b' : 'c',
        String(i),
      ]),
      ['XDEL', 'stream', '1005-2', '1007-1'],
      ['XGROUP', 'CREATE', 'stream', 'g', '0'],
      ['XREADGROUP', 'GROUP', 'g', 'alice', 'COUNT', '7', 'STREAMS', 'stream', '>'],
      ['XGROUP', 'CREATECONSUMER', 'stream', 'g', 'idle'],
      ['XADD', 'stream-empty', '5-5', 'a', '1'],
      ['XDEL', 'stream-empty', '5-5'],
      ['HSET', 'fields', 'a', '1', 'b', '2'],
      ['HPEXPIRE', 'fields', '100000000', 'FIELDS', '1', 'a'],
      ['HSET', 'fields-large', ...Array.from({ length: 1400 }, (_, i) => `f${i}`)],
      ['HPEXPIRE', 'fields-large', '100000000', 'FIELDS', '2', 'f0', 'f2'],
      ['FUNCTION', 'LOAD', '#!lua name=lib\nredis.register_function("f", function() return 1 end)'],
      ['SELECT', 3],
      ['SET', 'in-db-3', 'x'],
      ['SELECT', 0],
      ['SAVE'],
    ]
    await link.pipeline((out) => {
      for (const command of commands) out.call(...command)
      return commands.length
    })
    const reader = new RedisKeyReader(parseEndpoint(server.url), { digest: { fieldExpiry: true } })
    const digests = new Map<string, string>()
    for await (const page of reader.keys()) {
      const got = await reader.digest(
        page[0].db,
        page.map(({ key }) => key),
      )
      for (const [i, { db, key }] of page.entries())
        digests.set(`${db} ${key.toString('latin1')}`, got[i]!.toString('hex'))
    }
    await reader.close()
    return { rdb: readFileSync(join(server.directory, 'dump.rdb')), digests }
  } finally {
    link.close()
    await server.stop()
  }
}

/** The RDB types of the golden dump that need no decoding on their way to Ferrite. */
const TRANSCODED: Record<string, number[]> = {
  '6.2': [11],
  '7.0': [11, 16, 17, 18],
  '8.2': [11, 16, 17, 18, 20],
  'valkey-9.1': [11, 16, 17, 18, 20],
}

describe.each(['6.2', '7.0', '8.2', 'valkey-9.1'] as const)('RDB written by %s', (version) => {
  let golden: { rdb: Buffer; digests: Map<string, string> } | string

  it('reads to the values that the server gives', async (context) => {
    golden = await goldenDump(version)
    if (typeof golden === 'string') return context.skip(golden)
    const all = await readAll([golden.rdb])
    const read = new Map(
      all
        .filter((line) => !line.startsWith('function'))
        .map((line) => [
          line.slice(0, line.lastIndexOf(' ', line.lastIndexOf(' ') - 1)),
          line.slice(line.lastIndexOf(' ') + 1),
        ]),
    )
    expect(read).toEqual(golden.digests)
    if (version !== '6.2') expect(all.some((line) => line.startsWith('function'))).toBe(true)
  })

  it('reads the same byte by byte, in odd pieces, and in slices', async (context) => {
    if (typeof golden === 'string') return context.skip(golden)
    const whole = await readAll([golden.rdb])
    expect(await readAll(pieces(golden.rdb, 1))).toEqual(whole)
    for (const size of [2, 7, 63, 1000]) expect(await readAll(pieces(golden.rdb, size))).toEqual(whole)
    for (const sliceLimit of [0, 50, 3000])
      expect(await readAll(pieces(golden.rdb, 333), { sliceLimit })).toEqual(whole)
  })

  it('is transcoded for Ferrite to the same bytes as when it is decoded first, or refused with a typed error', async (context) => {
    if (typeof golden === 'string') return context.skip(golden)
    const transcoder = new FerriteTranscoder()
    const out = new RespWriter()
    const seen = new Set<number>()
    const reader = new RdbReader(new ByteWindow(feedOf([golden.rdb])), {})
    for await (const event of reader.read()) {
      if (event.kind !== 'records') continue
      for (const { value } of event.records) {
        if (value.form !== 'rdb' || !transcoder.write(out, value.type, value.body, 0, value.body.length)) continue
        seen.add(value.type)
        const transcoded = Buffer.from(out.take())
        const decoded = decodeValue(value.type, value.body, value.rdbVersion)
        if (decoded.form === 'items') writeFerritePayload(out, decoded)
        expect(transcoded.equals(out.take())).toBe(true)
        for (let cut = 0; cut < value.body.length; cut += Math.ceil(value.body.length / 60))
          try {
            transcoder.write(out, value.type, value.body.subarray(0, cut), 0, cut)
          } catch (error) {
            expect(error).toMatchObject({ code: expect.stringMatching(/^FM_RDB_/) })
          } finally {
            out.take()
          }
      }
      event.block.release()
    }
    expect([...seen].sort((a, b) => a - b)).toEqual(TRANSCODED[version])
  })

  it('fails with a typed error when it is cut anywhere', async (context) => {
    if (typeof golden === 'string') return context.skip(golden)
    const { rdb } = golden
    for (let cut = 0; cut < rdb.length; cut += cut < 300 || cut > rdb.length - 300 ? 1 : 97)
      await expect(readAll([rdb.subarray(0, cut)])).rejects.toMatchObject({
        code: expect.stringMatching(/^FM_RDB_(TRUNCATED|CORRUPT)$/),
      })
  })

  it('never hangs or gives a wrong value when a byte is changed', async (context) => {
    if (typeof golden === 'string') return context.skip(golden)
    const { rdb } = golden
    for (let at = 0; at < rdb.length; at += 17) {
      const damaged = Buffer.from(rdb)
      damaged[at] ^= 1 << (at % 8)
      await expect(readAll([damaged])).rejects.toMatchObject({ code: expect.stringMatching(/^FM_/) })
    }
  })
})

describe('digest', () => {
  const b = (text: string): Buffer => Buffer.from(text)
  it('ignores order where there is none, and only there', () => {
    const hash = (...items: string[]) => digestValue({ form: 'items', type: 'hash', items: items.map(b) })
    const list = (...items: string[]) => digestValue({ form: 'items', type: 'list', items: items.map(b) })
    expect(hash('a', '1', 'b', '2')).toEqual(hash('b', '2', 'a', '1'))
    expect(hash('a', '1', 'b', '2')).not.toEqual(hash('a', '2', 'b', '1'))
    expect(list('a', 'b')).not.toEqual(list('b', 'a'))
    expect(list('ab', 'c')).not.toEqual(list('a', 'bc'))
    expect(list()).not.toEqual(digestValue({ form: 'items', type: 'set', items: [] }))
  })
  it('sees the last bit of a score', () => {
    const zset = (score: string) => digestValue({ form: 'items', type: 'zset', items: [b('m'), b(score)] })
    expect(zset('3')).toEqual(zset('3.0'))
    expect(zset('3')).not.toEqual(zset('3.0000000000000004'))
    expect(scoreBits(b('inf')).readDoubleLE(0)).toBe(Infinity)
    expect(new ValueDigest('set').end()).toHaveLength(20)
  })
})
