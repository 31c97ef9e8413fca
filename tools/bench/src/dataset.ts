import type { RespWriter } from '@ferrite-migrate/protocol'
import { type Endpoint, RedisLink } from '@ferrite-migrate/redis'
import { Random } from './random.js'

/** Deterministic data sets for the benches. */
export type DatasetName = 'mixed' | 'large' | 'binary' | 'tiny'

const FAR = 4_102_444_800_000

export function mixedKey(random: Random, out: RespWriter, i: number): number {
  const kind = random.below(100)
  const size = random.between(5, 50)
  if (kind < 60) {
    const key = `str:${i}`
    const value = random.text(random.between(40, 200))
    if (random.below(4) === 0) out.call('SET', key, value, 'PX', FAR - Date.now())
    else out.call('SET', key, value)
  } else if (kind < 80) {
    const fields: string[] = []
    for (let f = random.between(5, 20); f > 0; f--) fields.push(`field${f}`, random.text(random.between(8, 24)))
    out.call('HSET', `user:${i}`, ...fields)
  } else if (kind < 88) out.call('RPUSH', `list:${i}`, ...Array.from({ length: size }, () => random.text(12)))
  else if (kind < 94)
    out.call('SADD', `set:${i}`, ...Array.from({ length: size }, () => String(random.below(1_000_000))))
  else if (kind < 99)
    out.call(
      'ZADD',
      `zset:${i}`,
      ...Array.from({ length: size }, (_, n) => [String(random.below(100_000) / 8), `member${n}`]).flat(),
    )
  else {
    const entries = random.between(3, 10)
    for (let n = 1; n <= entries; n++)
      out.call('XADD', `stream:${i}`, `${1_700_000_000_000 + i}-${n}`, 'event', random.text(10), 'n', String(n))
    return entries
  }
  return 1
}

function binaryKey(random: Random, out: RespWriter, i: number): number {
  const key = Buffer.concat([
    random.bytes(random.between(1, 24)),
    Buffer.from([0, 13, 10, 255]),
    Buffer.from(String(i)),
  ])
  if (i % 3 === 0) out.call('HSET', key, random.bytes(8), random.bytes(300), random.bytes(9), random.bytes(3))
  else out.call('SET', key, random.bytes(random.between(0, 400)))
  return 1
}

/** Strings of eight bytes under short names. */
function tinyKey(random: Random, out: RespWriter, i: number): number {
  out.call('SET', `t:${i}`, random.text(8))
  return 1
}

/** Writes one key; gives how many commands that took. */
const KEYS = { mixed: mixedKey, binary: binaryKey, tiny: tinyKey }

/** Fills a server; resolves with the number of keys. */
export async function fill(endpoint: Endpoint, name: DatasetName, keys: number, seed = 42): Promise<number> {
  const link = await RedisLink.open(endpoint)
  const random = new Random(seed)
  const send = (build: (out: RespWriter) => number): Promise<unknown> => link.pipeline(build)
  try {
    if (name === 'large') {
      for (let from = 0; from < keys; from += 2000)
        await send((out) => {
          out.command(2 + 2 * Math.min(2000, keys - from))
          out.text('HSET')
          out.text('huge-hash')
          for (let i = from; i < Math.min(keys, from + 2000); i++) {
            out.text(`field:${i}`)
            out.text(random.text(20))
          }
          return 1
        })
      const element = random.text(2000)
      const elements = Math.floor(keys / 10)
      for (let from = 0; from < elements; from += 500)
        await send((out) => {
          out.command(2 + Math.min(500, elements - from))
          out.text('RPUSH')
          out.text('huge-list')
          for (let i = from; i < Math.min(elements, from + 500); i++) out.text(`${i}:${element}`.slice(0, 2000))
          return 1
        })
      return 2
    }
    for (let from = 0; from < keys; from += 2000)
      await send((out) => {
        let commands = 0
        for (let i = from; i < Math.min(keys, from + 2000); i++) commands += KEYS[name](random, out, i)
        return commands
      })
    return keys
  } finally {
    link.close()
  }
}
