import { describe, expect, it } from 'vitest'
import { readAof, readRdb } from '../dist/index.js'
import { RdbWriter, rdbString } from './rdb-writer.js'

/** `n` and its strings. */
const list = (...items: string[]): Buffer =>
  Buffer.concat([Buffer.from([items.length]), ...items.map((item) => rdbString(item))])

const FILE = new RdbWriter(9)
  .raw([0xfe, 3])
  .record(0, 'text', rdbString('hello'))
  .raw([0xfc, ...Buffer.from('00e8764817000000', 'hex')])
  .record(4, 'hash', Buffer.concat([Buffer.from([1]), rdbString('f'), rdbString('v')]))
  .record(2, 'set', list('a', 'b'))
  .record(1, 'list', list('x', 'y'))
  .record(3, 'zset', Buffer.concat([Buffer.from([1]), rdbString('m'), Buffer.from([3]), Buffer.from('1.5')]))
  .end(9)

async function all<T>(records: AsyncIterable<T>): Promise<T[]> {
  const found: T[] = []
  for await (const record of records) found.push(record)
  return found
}

function* pieces(data: Buffer, size: number): Generator<Buffer> {
  for (let at = 0; at < data.length; at += size) yield data.subarray(at, at + size)
}

describe('an RDB', () => {
  it('is read into the shapes of its types, in pieces of any size', async () => {
    for (const size of [1, 7, 4096]) {
      const records = await all(readRdb(pieces(FILE, size)))
      expect(records.map(({ db, key, type, expireAt }) => [db, key.toString(), type, expireAt])).toEqual([
        [3, 'text', 'string', 0],
        [3, 'hash', 'hash', 100_000_000_000],
        [3, 'set', 'set', 0],
        [3, 'list', 'list', 0],
        [3, 'zset', 'zset', 0],
      ])
      expect(records.map(({ value }) => value)).toEqual([
        Buffer.from('hello'),
        [[Buffer.from('f'), Buffer.from('v')]],
        [Buffer.from('a'), Buffer.from('b')],
        [Buffer.from('x'), Buffer.from('y')],
        [[Buffer.from('m'), 1.5]],
      ])
    }
  })

  it('is read as flat lists, and as the bytes of the file', async () => {
    const [, hash] = await all(readRdb([FILE], 'items'))
    expect(hash.value).toMatchObject({ form: 'items', type: 'hash', items: [Buffer.from('f'), Buffer.from('v')] })
    const [text] = await all(readRdb([FILE], 'raw'))
    expect(text.value).toEqual({ form: 'rdb', type: 0, rdbVersion: 9, body: rdbString('hello') })
  })

  it('that is damaged or ends early is an error with its place', async () => {
    for (let end = 0; end < FILE.length; end++)
      await expect(all(readRdb([FILE.subarray(0, end)]))).rejects.toMatchObject({
        code: expect.stringMatching(/^FM_RDB_/),
      })
  })
})

describe('an append-only file', () => {
  it('is read as its commands, without what was cut off', async () => {
    const text = '*2\r\n$6\r\nSELECT\r\n$1\r\n4\r\n*3\r\n$3\r\nset\r\n$1\r\na\r\n$1\r\n1\r\n*2\r\n$4\r\nINCR\r\n$1\r\n'
    const commands = await all(readAof(pieces(Buffer.from(text), 5)))
    expect(commands).toEqual([{ db: 4, name: 'SET', argv: ['set', 'a', '1'].map((word) => Buffer.from(word)) }])
  })
})
