import { MigrateError } from '@ferrite-migrate/contracts'
import { describe, expect, it } from 'vitest'
import { AofReader, type ByteFeed, ByteWindow, decodeValue, RdbReader, RecordFacts } from '../dist/index.js'
import { asciiScore, RdbWriter, rdbLength, rdbString, streamV1, ziplist, zipmap } from './rdb-writer.js'

/** `npm run test:fuzz` sets 100,000. */
const ROUNDS = Number(process.env.FERRITE_MIGRATE_FUZZ ?? 3000)
/** Memory that reading a mutated dump of some kilobytes may take on top of what was there. */
const MEMORY_LIMIT = 300 << 20

function feedOf(data: Buffer): ByteFeed {
  let done = false
  return {
    next: async () => {
      if (done) return null
      done = true
      return data
    },
  }
}

/** A generator whose numbers a failure can be found again with. */
function randomOf(seed: number): () => number {
  let state = seed >>> 0
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0
    return state / 4294967296
  }
}

/** Every encoding that the writer makes. */
function dump(): Buffer {
  const long = 'v'.repeat(300)
  return new RdbWriter(11)
    .raw([0xfa])
    .raw(rdbString('redis-ver'))
    .raw(rdbString('7.2.0'))
    .raw([0xfe, 0, 0xfb, 12, 1])
    .record(0, 'string', rdbString(long))
    .record(0, 'integer', Buffer.from([0xc1, 1, 2]))
    .record(
      9,
      'zipmap',
      rdbString(
        zipmap([
          ['f', 'v'],
          ['g', long],
        ]),
      ),
    )
    .record(10, 'list-ziplist', rdbString(ziplist(['a', -1, 12, 300, -70000, 2_000_000_000, long])))
    .record(12, 'zset-ziplist', rdbString(ziplist(['n', '2.5', 'm', 3])))
    .record(13, 'hash-ziplist', rdbString(ziplist(['f', 'v', 'n', 7])))
    .record(3, 'zset-ascii', Buffer.concat([rdbLength(1), rdbString('a'), asciiScore(1.5)]))
    .record(14, 'quicklist', Buffer.concat([rdbLength(2), rdbString(ziplist(['x', 1])), rdbString(ziplist(['y']))]))
    .record(15, 'stream', streamV1(5000))
    .record(4, 'hash', Buffer.concat([rdbLength(2), ...['a', '1', 'b', '2'].map((text) => rdbString(text))]))
    .end(11)
}

function mutate(original: Buffer, random: () => number): Buffer {
  const kind = Math.floor(random() * 4)
  if (kind === 0) return original.subarray(0, Math.floor(random() * original.length))
  const data = Buffer.from(original)
  const at = (): number => Math.floor(random() * data.length)
  if (kind === 1)
    for (let left = 1 + Math.floor(random() * 4); left > 0; left--) data[at()] ^= 1 << Math.floor(random() * 8)
  else if (kind === 2) {
    // A length bomb: a huge length where some byte was.
    const place = at()
    data[place] = random() < 0.5 ? 0x80 : 0x81
    for (let i = 1; i < 9 && place + i < data.length; i++)
      data[place + i] = random() < 0.5 ? 0xff : Math.floor(random() * 256)
  } else {
    const from = at()
    data.copy(data, at(), from, Math.min(data.length, from + 40))
  }
  return data
}

async function readRdb(data: Buffer): Promise<void> {
  const facts = new RecordFacts()
  for await (const event of new RdbReader(new ByteWindow(feedOf(data)), { sliceLimit: 2000 }).read()) {
    if (event.kind !== 'records') continue
    for (const record of event.records) {
      const { value } = record
      if (value.form === 'sliced') for await (const _ of value.slices);
      else {
        facts.look(record)
        if (value.form === 'rdb' && value.type !== 7) decodeValue(value.type, value.body, value.rdbVersion)
      }
    }
    event.block.release()
  }
}

describe('mutated files', () => {
  it(`${ROUNDS} dumps end in a typed error or a value, in bounded memory`, {
    timeout: 60_000 + ROUNDS * 5,
  }, async () => {
    const original = dump()
    await readRdb(original)
    const before = process.memoryUsage().rss
    let failed = 0
    for (let round = 0; round < ROUNDS; round++) {
      const data = mutate(original, randomOf(round * 2654435761))
      try {
        await readRdb(data)
      } catch (error) {
        failed++
        if (!(error instanceof MigrateError)) throw new Error(`round ${round}: ${(error as Error).stack}`)
      }
      if (round % 1000 === 0) expect(process.memoryUsage().rss - before).toBeLessThan(MEMORY_LIMIT)
    }
    expect(failed).toBeGreaterThan(ROUNDS / 3)
  })

  it('append-only files too', { timeout: 60_000 + ROUNDS * 2 }, async () => {
    const resp = (...argv: string[]): string =>
      `*${argv.length}\r\n${argv.map((word) => `$${word.length}\r\n${word}\r\n`).join('')}`
    const original = Buffer.from(
      resp('SELECT', '0') +
        '#TS:1700000000\r\n' +
        resp('SET', 'a', 'x'.repeat(300)) +
        resp('MULTI') +
        resp('INCR', 'n') +
        resp('EXEC') +
        resp('FLUSHALL') +
        resp('RPUSH', 'l', '1', '2'),
    )
    for (let round = 0; round < ROUNDS; round++) {
      try {
        const window = new ByteWindow(feedOf(mutate(original, randomOf(round * 40503 + 7))))
        for await (const batch of new AofReader(window).read()) {
          for (const record of batch.records) void record.argv
          batch.release()
        }
      } catch (error) {
        if (!(error instanceof MigrateError)) throw new Error(`round ${round}: ${(error as Error).stack}`)
      }
    }
  })
})
