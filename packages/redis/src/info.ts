import { MigrateError } from '@ferrite-migrate/contracts'
import { type Reply, ReplyError } from '@ferrite-migrate/protocol'
import { handshakeError } from './connect-error.js'
import type { Endpoint } from './endpoint.js'
import type { RedisLink } from './link.js'

/** The fields of INFO as text, lower-case names as the server gives them. */
export function parseInfo(text: string): Map<string, string> {
  const fields = new Map<string, string>()
  for (const line of text.split('\n')) {
    const at = line.indexOf(':')
    if (at > 0 && !line.startsWith('#')) fields.set(line.slice(0, at), line.slice(at + 1).trimEnd())
  }
  return fields
}

export async function readInfo(link: RedisLink, section?: string): Promise<Map<string, string>> {
  try {
    const reply = await (section === undefined ? link.call('INFO') : link.call('INFO', section))
    return parseInfo(String(reply))
  } catch (error) {
    if (!(error instanceof ReplyError)) throw error
    throw new MigrateError(
      'FM_SERVER_REFUSED',
      `${link.endpoint.label} refuses INFO: ${error.message.slice(0, 160)}`,
      'Give the user the rights listed in docs/permissions.md, or name the server itself instead of a proxy.',
    )
  }
}

/** Databases that are looked through where a server does not list them. */
const MOST_ASKED = 256

/**
 * Keys per database: from `INFO keyspace`, or where that is not to be had (proxies, renamed commands) by asking one after
 * the other.
 * @throws MigrateError when neither is possible
 */
export async function databaseSizes(link: RedisLink): Promise<Map<number, number>> {
  const reply = await link.call('INFO', 'keyspace').catch((error: unknown) => {
    if (error instanceof ReplyError) return null
    throw error
  })
  const said = reply === null ? '' : String(reply)
  // A proxy that answers INFO itself says nothing of the keys: that is no word of an empty server.
  if (/^# keyspace/im.test(said) || /^db\d+:/m.test(said)) return keyspaceSizes(parseInfo(said))
  const sizes = new Map<number, number>()
  for (let db = 0; db < MOST_ASKED; db++) {
    let size: Reply
    try {
      ;[size] = await link.pipeline((out) => {
        out.call('DBSIZE')
        return 1
      }, db)
    } catch (error) {
      if (db > 0 && error instanceof MigrateError && !error.retryable) break
      throw error
    }
    if (size instanceof ReplyError) throw handshakeError(link.endpoint, size.message)
    if (Number(size) > 0) sizes.set(db, Number(size))
  }
  return sizes
}

/**
 * For whoever is given as an end of a migration.
 * @throws MigrateError FM_URL_INVALID when INFO says that it is a sentinel
 */
export function refuseSentinel({ host, port }: Endpoint, info: ReadonlyMap<string, string>): void {
  if (info.get('redis_mode') !== 'sentinel') return
  throw new MigrateError(
    'FM_URL_INVALID',
    `${host}:${port} is a sentinel, and has no keys itself`,
    `Name the primary that it watches: redis-sentinel://${host}:${port}/NAME.`,
  )
}

/** Keys per database, from `INFO keyspace`. */
export function keyspaceSizes(info: Map<string, string>): Map<number, number> {
  const sizes = new Map<number, number>()
  for (const [name, value] of info) {
    const db = /^db(\d+)$/.exec(name)
    const keys = /keys=(\d+)/.exec(value)
    if (db && keys) sizes.set(Number(db[1]), Number(keys[1]))
  }
  return sizes
}
