import type { ConnectionOptions } from 'node:tls'
import type { Address, Locate } from '@ferrite-migrate/contracts'
import { silenceLimit } from '@ferrite-migrate/protocol'
import type { MovingServer } from './address/moving-server.js'
import { NodeMap } from './address/node-map.js'
import { readCredentials, readSentinelCredentials } from './endpoint-credentials.js'
import { type EndpointOptions, flagOption, textOption } from './endpoint-options.js'
import { readTls } from './endpoint-tls.js'
import { readUrl, schemeOf } from './endpoint-url.js'
import { SentinelGroup } from './sentinel/sentinel-group.js'
import { namesSentinels, readSentinelUrl } from './sentinel/sentinel-url.js'

/** Where a Redis-compatible server is and how to get in. */
export interface Endpoint {
  /** Safe to print: no user, no password, no query. */
  readonly label: string
  /** With `port`: what the connection string says; of several sentinels the first. */
  readonly host: string
  readonly port: number
  /** Where it is now; asked before each connection. */
  readonly locate: Locate
  /** Tells when it is another server; undefined = it always is the same. Whoever read the endpoint closes it. */
  readonly moving?: MovingServer
  /** Path of a Unix socket; host and port are unused then. */
  readonly path?: string
  readonly db: number
  /** True when the connection string names the database. */
  readonly namesDb: boolean
  readonly username?: string
  readonly password?: string
  /** Where it names no server, that of the address is expected. */
  readonly tls?: ConnectionOptions
  readonly connectTimeoutMs: number
  /** How long the server may owe an answer without a byte before the connection counts as lost, ms. */
  readonly silenceMs: number
  /** Shown in the server's CLIENT LIST, where it keeps names. */
  readonly clientName?: string
  /** Keys are asked for that the node is about to get with their slot: each command follows an ASKING. */
  readonly asking?: boolean
  /** A replica is as good as a primary, although the endpoint names a server that may move. */
  readonly anyRole?: boolean
}

/**
 * Reads an endpoint URL with its adapter options (`username`, `password`, `password-env`, `password-file`, `tls-ca`,
 * `tls-cert`, `tls-key`, `tls-servername`, `tls-verify`, `connect-timeout`; with sentinels also `sentinel-username`,
 * `sentinel-password`, `sentinel-password-env`, `sentinel-password-file`, `sentinel-tls`, `node-map`), which override the URL.
 * Nobody is asked yet. Close `moving` where there is one.
 * @throws MigrateError FM_URL_INVALID, FM_ENV_MISSING, FM_FILE_UNREADABLE, FM_TLS_FILE, FM_OPTION_VALUE
 */
export function parseEndpoint(url: string, options: EndpointOptions = {}): Endpoint {
  return namesSentinels(schemeOf(url)) ? sentinelEndpoint(url, options) : serverEndpoint(url, options)
}

function connectTimeout(options: EndpointOptions): number {
  return typeof options['connect-timeout'] === 'number' ? options['connect-timeout'] : 10_000
}

function serverEndpoint(url: string, options: EndpointOptions): Endpoint {
  const said = readUrl(url)
  const { label, host, port, path, db, namesDb } = said
  const address: Address = { host: host.toLowerCase(), port }
  return {
    label,
    host,
    port,
    locate: async () => address,
    ...(path === undefined ? {} : { path }),
    db,
    namesDb,
    ...readCredentials(said, options),
    ...(said.secure || flagOption(options, 'tls') === true ? { tls: readTls(options) } : {}),
    connectTimeoutMs: connectTimeout(options),
    silenceMs: silenceLimit(options['sync-timeout']),
  }
}

function sentinelEndpoint(url: string, options: EndpointOptions): Endpoint {
  const said = readSentinelUrl(url)
  const { label, sentinels, primary, db, namesDb } = said
  const secure = said.secure || flagOption(options, 'tls') === true
  const secureSentinels = flagOption(options, 'sentinel-tls') ?? secure
  const tls = secure || secureSentinels ? readTls(options) : undefined
  const group = new SentinelGroup({
    label,
    primary,
    sentinels,
    ...readSentinelCredentials(options),
    ...(secureSentinels && tls !== undefined ? { tls } : {}),
    nodeMap: new NodeMap(textOption(options, 'node-map')),
    connectTimeoutMs: connectTimeout(options),
  })
  return {
    label,
    ...sentinels[0],
    locate: () => group.locate(),
    moving: group,
    db,
    namesDb,
    ...readCredentials(said, options),
    ...(secure && tls !== undefined ? { tls } : {}),
    connectTimeoutMs: connectTimeout(options),
    silenceMs: silenceLimit(options['sync-timeout']),
  }
}

/** The endpoint as the one server that it is now, whatever becomes of that. @throws MigrateError FM_SENTINEL_* */
export async function asItIsNow(endpoint: Endpoint): Promise<Endpoint> {
  return endpoint.moving === undefined ? endpoint : endpointAt(endpoint, await endpoint.locate())
}

/** The same way in to one server. */
export function endpointAt({ moving: _, ...fixed }: Endpoint, address: Address): Endpoint {
  return { ...fixed, locate: async () => address }
}
