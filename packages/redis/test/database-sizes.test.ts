import { databaseSizes, parseEndpoint, RedisLink } from '@ferrite-migrate/redis'
import { CommandServer } from '@ferrite-migrate/servers'
import { expect, it } from 'vitest'

const bulk = (text: string): string => `$${text.length}\r\n${text}\r\n`

/** A server that answers INFO with this text (null = refuses it), and has 7 keys in database 0 and 2 in database 3. */
async function sizes(info: string | null): Promise<Record<number, number>> {
  const server = await CommandServer.start(async (words, { notes }) => {
    switch (String(words[0])) {
      case 'INFO':
        return info === null ? '-ERR unknown command\r\n' : bulk(info)
      case 'SELECT':
        notes.set('db', String(words[1]))
        return Number(words[1]) < 16 ? '+OK\r\n' : '-ERR DB index is out of range\r\n'
      case 'DBSIZE':
        return `:${{ '0': 7, '3': 2 }[notes.get('db') ?? '0'] ?? 0}\r\n`
      default:
        return '+PONG\r\n'
    }
  })
  const link = await RedisLink.open(parseEndpoint(server.url))
  try {
    return Object.fromEntries(await databaseSizes(link))
  } finally {
    link.close()
    server.stop()
  }
}

it.each([
  ['that lists them', '# Keyspace\r\ndb0:keys=7,expires=0,avg_ttl=0\r\ndb3:keys=2,expires=0,avg_ttl=0\r\n'],
  ['without the section, as proxies answer', '# Proxy\r\nVersion:7.0.1\r\n'],
  ['with nothing', ''],
  ['that refuses INFO', null],
])('sizes of databases are had of a server %s', async (_name, info) => {
  expect(await sizes(info)).toEqual({ 0: 7, 3: 2 })
})

it('an empty list of databases is an empty server', async () => {
  expect(await sizes('# Keyspace\r\n')).toEqual({})
})
