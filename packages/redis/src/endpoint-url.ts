import { ENCODE_HINT, MigrateError, splitConnection } from '@ferrite-migrate/contracts'
import { decodePart } from './address/decode-part.js'
import { printAddress } from './address/host-port.js'

const FORMS =
  'Write redis://[user:password@]host:port[/db], rediss:// for TLS (valkey:// and valkeys:// are the same), ferrite:// or ferrites:// for Ferrite, redis+sentinel://sentinel:26379,sentinel:26379/primary-name for a primary behind Sentinel, or unix:///path/to.sock.'

/** What else people call the same. */
const ALIASES: Readonly<Record<string, string>> = {
  valkey: 'redis',
  valkeys: 'rediss',
  unix: 'redis+unix',
  'valkey+unix': 'redis+unix',
}

/** What a connection string says. */
export interface EndpointUrl {
  /** Safe to print: no user, no password, no query. */
  readonly label: string
  readonly host: string
  readonly port: number
  /** Path of a Unix socket. */
  readonly path: string | undefined
  readonly db: number
  /** True when it names the database. */
  readonly namesDb: boolean
  /** True when its scheme asks for TLS. */
  readonly secure: boolean
  /** Percent-encoded, empty = none. */
  readonly username: string
  readonly password: string
}

function invalid(what: string): MigrateError {
  return new MigrateError('FM_URL_INVALID', what, FORMS)
}

/** The scheme in lower case, without `://`. @throws MigrateError FM_URL_INVALID */
export function schemeOf(url: string): string {
  const scheme = /^([a-z][a-z0-9+.-]*):\/\//i.exec(url)?.[1].toLowerCase()
  if (scheme === undefined) throw invalid('the connection string has no scheme')
  return scheme
}

/** @throws MigrateError FM_URL_INVALID */
export function readUrl(url: string): EndpointUrl {
  const written = schemeOf(url)
  if (splitConnection(url) === null)
    throw new MigrateError('FM_URL_INVALID', `the ${written} connection string cannot be taken apart`, ENCODE_HINT)
  const scheme = ALIASES[written] ?? written
  const parsed = parse(url, scheme)
  const { username, password } = parsed
  const secure = scheme === 'rediss' || scheme === 'ferrites'
  const place = scheme === 'redis+unix' ? socketPlace(parsed) : hostPlace(parsed, written)
  return { ...place, secure, username, password }
}

function parse(url: string, scheme: string): URL {
  try {
    return new URL(url)
  } catch {
    throw invalid(`the ${scheme} connection string is not a URL`)
  }
}

type Place = Pick<EndpointUrl, 'label' | 'host' | 'port' | 'path' | 'db' | 'namesDb'>

function socketPlace(parsed: URL): Place {
  const path = decodePart(parsed.pathname, 'socket path')
  if (path === '' || path === '/') throw invalid('the connection string names no socket')
  const db = databaseNumber(parsed.searchParams.get('db') ?? '0')
  return { label: `redis+unix://${path}`, ...address(parsed), path, db, namesDb: parsed.searchParams.has('db') }
}

function hostPlace(parsed: URL, written: string): Place {
  if (parsed.hostname === '') throw invalid('the connection string names no host')
  const { host, port } = address(parsed)
  if (port === 0) throw invalid('the connection string names port 0, where nothing listens')
  const named = parsed.pathname.replace(/^\//, '')
  const text = named || '0'
  const db = databaseNumber(text)
  return {
    label: `${written}://${printAddress({ host, port })}${text === '0' ? '' : `/${text}`}`,
    host,
    port,
    path: undefined,
    db,
    namesDb: named !== '',
  }
}

function address(parsed: URL): { readonly host: string; readonly port: number } {
  return { host: parsed.hostname.replace(/^\[|\]$/g, ''), port: parsed.port === '' ? 6379 : Number(parsed.port) }
}

function databaseNumber(text: string): number {
  if (!/^\d{1,5}$/.test(text))
    throw invalid('what stands behind the host in the connection string is no database number')
  return Number(text)
}
