import { MigrateError, redactUrl } from '@ferrite-migrate/contracts'
import { type Endpoint, parseEndpoint } from '@ferrite-migrate/redis'
import type { RedisOptions } from 'ioredis'

/** The password of the queue, where its address has none. */
export const PASSWORD_VARIABLE = 'FERRITE_MIGRATE_QUEUE_PASSWORD'

/** All keys have the same hash tag: what belongs together can be changed in one step. */
const PREFIX = '{ferrite-migrate}'

/** Where a queue is, how to get in, and how its keys begin. */
export interface QueueAddress {
  /** Safe to print. */
  readonly label: string
  readonly prefix: string
  readonly endpoint: Endpoint
  readonly options: RedisOptions
}

/**
 * Reads the address of a queue: `redis[s]://[user[:password]@]host:port[/db][?name=...&tls-ca=...]`. `name` keeps the queues of several
 * teams on one server apart; options are those of a Redis source.
 * @throws MigrateError FM_URL_INVALID, FM_ENV_MISSING, FM_FILE_UNREADABLE, FM_TLS_FILE
 */
export function readQueueAddress(url: string): QueueAddress {
  const parts = /^([^?]*)(?:\?(.*))?$/s.exec(url)
  const query = new URLSearchParams(parts?.[2] ?? '')
  const name = query.get('name') ?? ''
  if (!/^[A-Za-z0-9_-]{0,64}$/.test(name))
    throw new MigrateError('FM_URL_INVALID', 'the name of a queue has letters, digits, _ and - only', 'Correct ?name=.')
  query.delete('name')
  const given = Object.fromEntries(query)
  const password = process.env[PASSWORD_VARIABLE]
  const endpoint = parseEndpoint(
    (parts?.[1] ?? url).replace(/^valkey(s?):/, 'redis$1:'),
    password === undefined ? given : { ...given, password: given.password ?? password },
  )
  if (endpoint.moving !== undefined || endpoint.path !== undefined)
    throw new MigrateError(
      'FM_URL_INVALID',
      `${redactUrl(url)} is no address of a queue`,
      'Write redis://host:port or rediss://host:port: the one server of the queue.',
    )
  const { host, port, db, username, tls } = endpoint
  return {
    label: endpoint.label,
    prefix: name === '' ? PREFIX : `${PREFIX}${name}`,
    endpoint,
    options: {
      ...{ host, port, db },
      ...(username === undefined ? {} : { username }),
      ...(endpoint.password === undefined ? {} : { password: endpoint.password }),
      ...(tls === undefined ? {} : { tls: { servername: host, ...tls } }),
      connectTimeout: 5000,
      keepAlive: 5000,
      disableClientInfo: true,
      retryStrategy: (times) => Math.min(100 * times, 1000),
    },
  }
}
