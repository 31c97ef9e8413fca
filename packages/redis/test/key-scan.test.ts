import { parseEndpoint, RedisKeyReader } from '@ferrite-migrate/redis'
import { CommandServer } from '@ferrite-migrate/servers'
import { expect, it } from 'vitest'

const bulk = (text: string): string => `$${text.length}\r\n${text}\r\n`
const list = (...replies: string[]): string => `*${replies.length}\r\n${replies.join('')}`
const scanned = (...keys: string[]): string => list(bulk('0'), list(...keys.map(bulk)))

/**
 * The keys of a server that counts three and gives two of them.
 * @param atOnce how many it counts where it gives two in the same moment
 */
async function keysOf(atOnce: number): Promise<string[]> {
  const server = await CommandServer.start(async (words, { notes }) => {
    switch (String(words[0])) {
      case 'INFO':
        return bulk('# Keyspace\r\ndb1:keys=3,expires=3,avg_ttl=0\r\n')
      case 'MULTI':
        notes.set('multi', '1')
        return '+OK\r\n'
      case 'EXEC': {
        notes.delete('multi')
        const answers = [`:${atOnce}\r\n`, scanned('a', 'b')]
        return list(...answers, ...answers)
      }
      case 'SCAN':
      case 'DBSIZE':
        return notes.has('multi') ? '+QUEUED\r\n' : scanned('a', 'b')
      default:
        return '+OK\r\n'
    }
  })
  const reader = new RedisKeyReader(parseEndpoint(server.url))
  const keys: string[] = []
  try {
    for await (const page of reader.keys()) for (const { key } of page) keys.push(String(key))
    return keys
  } finally {
    await reader.close()
    server.stop()
  }
}

it('a scan of few keys that come and go is whole where it gives what is counted in the same moment', async () => {
  expect(await keysOf(2)).toEqual(['a', 'b'])
})

it('a scan that skips keys does not pass for a whole one', async () => {
  await expect(keysOf(3)).rejects.toMatchObject({ code: 'FM_SCAN_INCOMPLETE' })
})
