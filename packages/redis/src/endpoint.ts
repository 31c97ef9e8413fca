import { readFileSync } from 'node:fs'
import type { ConnectionOptions } from 'node:tls'
import { ENCODE_HINT, keepSecret, type Locate, MigrateError, splitConnection } from '@ferrite-migrate/contracts'
import { silenceLimit } from '@ferrite-migrate/protocol'

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

type Options = Readonly<Record<string, string | number | boolean | undefined>>

const FORMS =
  'Write redis://[user:password@]host:port[/db], rediss:// for TLS (valkey:// and valkeys:// are the same), ferrite:// or ferrites:// for Ferrite, or unix:///path/to.sock.'

function invalid(what: string): MigrateError {
  return new MigrateError('FM_URL_INVALID', what, FORMS)
}

function readSecretFile(path: string, what: string): string {
  try {
    return readFileSync(path, 'utf8').trimEnd()
  } catch (cause) {
    throw new MigrateError(
      'FM_FILE_UNREADABLE',
      `the ${what} file ${path} cannot be read (${(cause as NodeJS.ErrnoException).code ?? 'error'})`,
      'Check the path and its permissions.',
      { cause },
    )
  }
}

function certificate(path: string, what: string): string {
  const text = readSecretFile(path, what)
  if (!text.includes('-----BEGIN'))
    throw new MigrateError(
      'FM_TLS_FILE',
      `the ${what} file ${path} is not PEM`,
      'Give a file that starts with -----BEGIN.',
    )
  return text
}

/** What else people call the same. */
const ALIASES: Readonly<Record<string, string>> = {
  valkey: 'redis',
  valkeys: 'rediss',
  unix: 'redis+unix',
  'valkey+unix': 'redis+unix',
}

/**
 * Reads an endpoint URL with its adapter options (`username`, `password`, `password-env`, `password-file`, `tls-ca`,
 * `tls-cert`, `tls-key`, `tls-servername`, `tls-verify`, `connect-timeout`), which override the URL.
 * @throws MigrateError FM_URL_INVALID, FM_FILE_UNREADABLE, FM_TLS_FILE
 */
export function parseEndpoint(url: string, options: Options = {}): Endpoint {
  const written = /^([a-z][a-z0-9+.-]*):\/\//i.exec(url)?.[1].toLowerCase()
  if (written === undefined) throw invalid('the connection string has no scheme')
  if (splitConnection(url) === null)
    throw new MigrateError('FM_URL_INVALID', `the ${written} connection string cannot be taken apart`, ENCODE_HINT)
  const scheme = ALIASES[written] ?? written
  const unix = scheme === 'redis+unix'
  let parsed: URL
  try {
    parsed = new URL(url)
  } catch {
    throw invalid(`the ${scheme} connection string is not a URL`)
  }
  const shown = unix ? 'redis+unix' : written
  const decode = (text: string, what: string): string => {
    try {
      return decodeURIComponent(text)
    } catch {
      throw invalid(`the ${what} in the connection string is not percent-encoded`)
    }
  }
  const option = (name: string): string | undefined => {
    const value = options[name]
    return value === undefined || value === '' ? undefined : String(value)
  }
  if (!unix && parsed.hostname === '') throw invalid('the connection string names no host')
  const host = parsed.hostname.replace(/^\[|\]$/g, '')
  const port = parsed.port === '' ? 6379 : Number(parsed.port)
  const path = unix ? decode(parsed.pathname, 'socket path') : undefined
  if (unix && (path === undefined || path === '/')) throw invalid('the connection string names no socket')
  const dbText = unix ? (parsed.searchParams.get('db') ?? '0') : parsed.pathname.replace(/^\//, '') || '0'
  if (!/^\d{1,5}$/.test(dbText))
    throw invalid('what stands behind the host in the connection string is no database number')

  const envName = option('password-env')
  const fileName = option('password-file')
  let password = option('password') ?? (parsed.password === '' ? undefined : decode(parsed.password, 'password'))
  if (envName !== undefined) {
    password = process.env[envName]
    if (password === undefined)
      throw new MigrateError(
        'FM_ENV_MISSING',
        `the environment variable ${envName} is not set`,
        'Set it to the password, or give another --…-option password-env.',
      )
  }
  if (fileName !== undefined) password = readSecretFile(fileName, 'password')
  if (password !== undefined) keepSecret(password)
  const username = option('username') ?? (parsed.username === '' ? undefined : decode(parsed.username, 'user name'))

  const secure = scheme === 'rediss' || scheme === 'ferrites' || flag(options.tls) === true
  const ca = option('tls-ca')
  const cert = option('tls-cert')
  const key = option('tls-key')
  const tls: ConnectionOptions | undefined = secure
    ? {
        rejectUnauthorized: flag(options['tls-verify']) !== false,
        servername: option('tls-servername') ?? (/^[\d.]+$|:/.test(host) ? '' : host),
        ...(ca === undefined ? {} : { ca: certificate(ca, 'CA') }),
        ...(cert === undefined ? {} : { cert: certificate(cert, 'client certificate') }),
        ...(key === undefined ? {} : { key: certificate(key, 'client key') }),
      }
    : undefined
  const at = unix ? path! : `${host.includes(':') ? `[${host}]` : host}:${port}`
  return {
    label: `${shown}://${at}${dbText === '0' || unix ? '' : `/${dbText}`}`,
    host,
    port,
    locate: async () => ({ host, port }),
    ...(path === undefined ? {} : { path }),
    db: Number(dbText),
    namesDb: unix ? parsed.searchParams.has('db') : parsed.pathname.replace(/^\//, '') !== '',
    ...(username === undefined ? {} : { username }),
    ...(password === undefined ? {} : { password }),
    ...(tls === undefined ? {} : { tls }),
    connectTimeoutMs: typeof options['connect-timeout'] === 'number' ? options['connect-timeout'] : 10_000,
    silenceMs: silenceLimit(options['sync-timeout']),
  }
}

/** Options come parsed from the registry, and as text from whoever gives them by hand. */
function flag(value: string | number | boolean | undefined): boolean | undefined {
  return typeof value === 'string'
    ? value === 'true'
      ? true
      : value === 'false'
        ? false
        : undefined
    : value === true || value === false
      ? value
      : undefined
}
