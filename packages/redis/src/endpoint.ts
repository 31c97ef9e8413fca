import type { ConnectionOptions } from 'node:tls'
import type { Locate } from '@ferrite-migrate/contracts'
import { silenceLimit } from '@ferrite-migrate/protocol'
import { readCredentials } from './endpoint-credentials.js'
import { type EndpointOptions, flagOption } from './endpoint-options.js'
import { readTls } from './endpoint-tls.js'
import { readUrl } from './endpoint-url.js'

/** Where a Redis-compatible server is and how to get in. */
export interface Endpoint {
  /** Safe to print: no user, no password, no query. */
  readonly label: string
  readonly host: string
  readonly port: number
  /** Where it is now; asked before each connection. `host` and `port` are what the connection string says. */
  readonly locate: Locate
  /** Path of a Unix socket; host and port are unused then. */
  readonly path?: string
  readonly db: number
  /** True when the connection string names the database. */
  readonly namesDb: boolean
  readonly username?: string
  readonly password?: string
  readonly tls?: ConnectionOptions
  readonly connectTimeoutMs: number
  /** How long the server may owe an answer without a byte before the connection counts as lost, ms. */
  readonly silenceMs: number
  /** Shown in the server's CLIENT LIST, where it keeps names. */
  readonly clientName?: string
}

/**
 * Reads an endpoint URL with its adapter options (`username`, `password`, `password-env`, `password-file`, `tls-ca`,
 * `tls-cert`, `tls-key`, `tls-servername`, `tls-verify`, `connect-timeout`), which override the URL.
 * @throws MigrateError FM_URL_INVALID, FM_ENV_MISSING, FM_FILE_UNREADABLE, FM_TLS_FILE
 */
export function parseEndpoint(url: string, options: EndpointOptions = {}): Endpoint {
  const said = readUrl(url)
  const { label, host, port, path, db, namesDb } = said
  const credentials = readCredentials(said, options)
  return {
    label,
    host,
    port,
    locate: async () => ({ host: host.toLowerCase(), port }),
    ...(path === undefined ? {} : { path }),
    db,
    namesDb,
    ...credentials,
    ...(said.secure || flagOption(options, 'tls') === true ? { tls: readTls(host, options) } : {}),
    connectTimeoutMs: typeof options['connect-timeout'] === 'number' ? options['connect-timeout'] : 10_000,
    silenceMs: silenceLimit(options['sync-timeout']),
  }
}
