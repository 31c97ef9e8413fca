import { createHash, randomBytes, timingSafeEqual } from 'node:crypto'
import { closeSync, constants, fstatSync, openSync, readFileSync } from 'node:fs'
import { isIP } from 'node:net'
import { MigrateError } from '@ferrite-migrate/contracts'

/** Fewer letters can be guessed. */
const LEAST_TOKEN = 16
const MOST_TOKEN = 1024
const OTHERS = 0o077
/** The subprotocol that carries the token where a client can set no header: browsers, on a WebSocket. */
const TOKEN_PROTOCOL = 'ferrite-migrate.token.'

/** What of a request tells whether it may be answered. */
export interface Asking {
  readonly host: string | undefined
  readonly origin: string | undefined
  readonly authorization: string | undefined
  readonly protocols: string | undefined
}

const digest = (text: string): Buffer => createHash('sha256').update(text).digest()

/** Who is answered: who knows the token, by a name of this service, and no page of another origin. */
export class Access {
  private readonly token: Buffer | null
  private readonly hosts: ReadonlySet<string>

  /**
   * @param token null = whoever reaches the service may use it (a socket whose file only its owner may open)
   * @param hosts names that it is called by, beside localhost and addresses
   */
  constructor(token: string | null, hosts: readonly string[]) {
    this.token = token === null ? null : digest(token)
    this.hosts = new Set(['localhost', ...hosts.map(nameOf)])
  }

  /**
   * False where the name that was called leads here by somebody else's will: a name of theirs that resolves to this machine. Addresses
   * cannot be made to.
   */
  isCalled({ host }: Asking): boolean {
    if (this.token === null) return true
    if (host === undefined) return false
    const name = nameOf(host)
    return isIP(name) !== 0 || this.hosts.has(name)
  }

  /** False for what a page of another origin sends. Programs that are no browsers name no origin. */
  isOwn({ host, origin }: Asking): boolean {
    return origin === undefined || (host !== undefined && origin.replace(/^https?:\/\//i, '') === host)
  }

  knows({ authorization, protocols }: Asking): boolean {
    if (this.token === null) return true
    const offered =
      /^Bearer +(\S+)$/i.exec(authorization ?? '')?.[1] ??
      protocols
        ?.split(/\s*,\s*/)
        .find((name) => name.startsWith(TOKEN_PROTOCOL))
        ?.slice(TOKEN_PROTOCOL.length)
    return offered !== undefined && timingSafeEqual(digest(offered), this.token)
  }
}

/** The name in a Host header: without port, brackets and the dot of a whole name. */
function nameOf(host: string): string {
  return host
    .replace(/:\d+$/, '')
    .replace(/^\[|\]$/g, '')
    .replace(/\.$/, '')
    .toLowerCase()
}

export function newToken(): string {
  return randomBytes(32).toString('base64url')
}

/**
 * The token in a file, without the end of its line.
 * @throws MigrateError FM_FILE_UNREADABLE, FM_SERVE_TOKEN for one that others may read, or that is no token
 */
export function tokenOf(path: string): string {
  let text: string
  let mode: number
  try {
    // What is no file, such as a pipe, would be waited for.
    const file = openSync(path, constants.O_RDONLY | (constants.O_NONBLOCK ?? 0))
    try {
      const found = fstatSync(file)
      if (!found.isFile()) throw Object.assign(new Error('no file'), { code: 'it is no file' })
      mode = found.mode
      text = readFileSync(file, 'utf8').trim()
    } finally {
      closeSync(file)
    }
  } catch (cause) {
    throw new MigrateError(
      'FM_FILE_UNREADABLE',
      `${path} cannot be read: ${(cause as NodeJS.ErrnoException).code ?? 'unknown'}`,
      'Give a file with a token in it, or leave --token-file out: one is made then.',
      { cause },
    )
  }
  if (process.platform !== 'win32' && (mode & OTHERS) !== 0)
    throw new MigrateError('FM_SERVE_TOKEN', `${path} can be read by others`, `Take that away: chmod 600 ${path}`)
  if (text.length < LEAST_TOKEN || text.length > MOST_TOKEN || !/^[\w.~+/=-]+$/.test(text))
    throw new MigrateError(
      'FM_SERVE_TOKEN',
      `${path} holds no token: ${LEAST_TOKEN} to ${MOST_TOKEN} letters, digits and . _ ~ + / = - are one`,
      'Make one: openssl rand -hex 32 > FILE; chmod 600 FILE',
    )
  return text
}
