/** A connection string taken apart, nothing decoded. */
export interface ConnectionString {
  /** With `://`. */
  readonly scheme: string
  readonly user: string
  /** Undefined = it holds none. */
  readonly password: string | undefined
  /** Hosts and path. */
  readonly place: string
  /** With its `?`; empty = it has none. */
  readonly query: string
}

/** Schemes of files, in whose paths any character may stand. */
const FILES = /^(rdb|aof|json|ndjson|csv|tsv|file|redis\+unix|rediss\+unix|unix):/i

/**
 * Takes a connection string apart; null when it is none, or cannot be taken apart without a guess: an @ behind the first
 * slash, question mark or hash tells of a password that is not percent-encoded, and then nothing of it is to be shown.
 */
export function splitConnection(url: string): ConnectionString | null {
  const match = /^([a-z][a-z0-9+.-]*:\/\/)([^/?#]*)(.*)$/is.exec(url)
  if (match === null) return null
  const [, scheme, authority, rest] = match
  const query = rest.indexOf('?')
  const path = query < 0 ? rest : rest.slice(0, query)
  const tail = query < 0 ? '' : rest.slice(query)
  if (FILES.test(scheme)) return { scheme, user: '', password: undefined, place: authority + path, query: tail }
  if (rest.includes('@') || rest.includes('#')) return null
  const at = authority.lastIndexOf('@')
  const who = at < 0 ? '' : authority.slice(0, at)
  const colon = who.indexOf(':')
  return {
    scheme,
    user: colon < 0 ? who : who.slice(0, colon),
    password: colon < 0 ? undefined : who.slice(colon + 1),
    place: authority.slice(at + 1) + path,
    query: tail,
  }
}

/** What to do about a connection string that cannot be taken apart. */
export const ENCODE_HINT =
  'A password with @ : / ? # or % has to be percent-encoded (%40 %3A %2F %3F %23 %25); better give it by password-env or password-file.'

/** A connection string as it may be printed: without user, password and query. */
export function redactUrl(url: string): string {
  const parts = splitConnection(url)
  if (parts !== null) return parts.scheme + parts.place
  return `${/^[a-z][a-z0-9+.-]*:\/\//i.exec(url)?.[0] ?? ''}…`
}
