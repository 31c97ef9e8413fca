import {
  type AdapterContext,
  ENCODE_HINT,
  keepSecret,
  type Locate,
  MigrateError,
  splitConnection,
} from '@ferrite-migrate/contracts'
import { silenceLimit } from '@ferrite-migrate/protocol'

export interface MemcachedEndpoint {
  readonly host: string
  readonly port: number
  /** Where it is now; asked before each connection. `host` and `port` are what the connection string says. */
  readonly locate: Locate
  readonly username: string | undefined
  readonly password: string | undefined
  readonly connectTimeoutMs: number
  /** How long an answer may take without a byte, ms. */
  readonly silenceMs: number
}

const FORM = 'Write memcached://host:port, or several with commas: memcached://a:11211,b:11211.'

function decode(text: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    throw new MigrateError('FM_URL_INVALID', 'the user name or password is not percent-encoded', ENCODE_HINT)
  }
}

/**
 * The servers of `memcached://[user:password@]host[:port][,host[:port]…]`.
 * @throws MigrateError FM_URL_INVALID, FM_ENV_MISSING
 */
export function parseEndpoints({ url, options }: AdapterContext): MemcachedEndpoint[] {
  const parts = splitConnection(url)
  if (parts === null)
    throw new MigrateError('FM_URL_INVALID', 'the address of the Memcached cannot be taken apart', ENCODE_HINT)
  const places = /^([^/]+)\/?$/.exec(parts.place)?.[1]
  if (places === undefined) throw new MigrateError('FM_URL_INVALID', 'this is no address of a Memcached', FORM)
  const user = parts.user === '' ? undefined : decode(parts.user)
  const secret = parts.password === undefined ? undefined : decode(parts.password)
  const variable = options['password-env'] as string | undefined
  if (variable !== undefined && process.env[variable] === undefined)
    throw new MigrateError(
      'FM_ENV_MISSING',
      `the environment variable ${variable} is not set`,
      'Set it to the password.',
    )
  const password = secret ?? (options.password as string | undefined) ?? (variable && process.env[variable])
  if (password !== undefined) keepSecret(password)
  return places.split(',').map((place) => {
    const at = /^(\[[^\]]+\]|[^:[\]]+)(?::(\d{1,5}))?$/.exec(place)
    const port = Number(at?.[2] ?? 11211)
    if (at === null || port < 1 || port > 65535)
      throw new MigrateError('FM_URL_INVALID', `"${place.slice(0, 80)}" is no host and port`, FORM)
    const host = at[1].replace(/^\[|\]$/g, '')
    return {
      host,
      port,
      locate: async () => ({ host: host.toLowerCase(), port }),
      username: user ?? (options.username as string | undefined),
      password,
      connectTimeoutMs: Number(options['connect-timeout']),
      silenceMs: silenceLimit(options['sync-timeout']),
    }
  })
}
