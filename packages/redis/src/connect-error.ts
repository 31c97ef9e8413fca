import { MigrateError } from '@ferrite-migrate/contracts'
import type { Endpoint } from './endpoint.js'

/** What a failed connection attempt means to a person. */
export function connectError(endpoint: Endpoint, cause: unknown): MigrateError {
  if (cause instanceof MigrateError) return cause
  const error = cause as NodeJS.ErrnoException
  const at = endpoint.label
  const meaning =
    unreachable(endpoint, error.code) ??
    closedEarly(endpoint, error.code) ??
    (endpoint.tls && isOfTls(error) ? tlsFailure(at, error.message) : lost(at, error.message ?? String(cause)))
  return new MigrateError(meaning.code, meaning.what, meaning.hint, { retryable: meaning.retryable, cause })
}

/** The error for a server that neither answers nor ends the connection. */
export function silentError(label: string, ms: number): MigrateError {
  return new MigrateError(
    'FM_CONNECT_SILENT',
    `${label} has not answered for ${Math.round(ms / 1000)} s`,
    'Look whether the server stands still, and whether the network to it lets packets through.',
    { retryable: true },
  )
}

/** The error for a connection that is given up because everything ends. */
export function stoppedError(label: string): MigrateError {
  return new MigrateError(
    'FM_INTERRUPTED',
    `stopped before ${label} answered`,
    'Start it again; a migration goes on with --resume.',
  )
}

/** The error for a connection to a server that is the primary no more. @param now where the primary is, in words */
export function movedError(label: string, now: string): MigrateError {
  return new MigrateError(
    'FM_CONNECT_LOST',
    `${label} is not the primary any more${now}`,
    'Nothing is to be done: the next connection is made to the new primary.',
    { retryable: true },
  )
}

/** The error with what can be done where the address was told by somebody else. */
export function withAdvice(error: unknown, advice: string): unknown {
  if (!(error instanceof MigrateError) || !/^FM_CONNECT_(REFUSED|TIMEOUT|HOST)$/.test(error.code)) return error
  const { code, message, hint, retryable, cause } = error
  return new MigrateError(code, message, `${hint} ${advice}`, { retryable, cause })
}

/** What a refused SELECT means to a person. */
export function selectError(endpoint: Endpoint, db: number, message: string): MigrateError {
  if (/^NOPERM/.test(message))
    return new MigrateError(
      'FM_AUTH_RIGHTS',
      `${endpoint.label} does not let this user select database ${db}: ${message.slice(7, 200)}`,
      'Give the user the right to SELECT (docs/permissions.md).',
    )
  if (/not allowed in cluster mode/i.test(message))
    return new MigrateError(
      'FM_DB_RANGE',
      `${endpoint.label} is a node of a cluster, which has database 0 only`,
      `Map the database with --db-map ${db}:0.`,
    )
  return handshakeError({ ...endpoint, db }, message)
}

/** What an error reply during the handshake means to a person. */
export function handshakeError(endpoint: Endpoint, message: string): MigrateError {
  const at = endpoint.label
  if (
    /^(WRONGPASS|ERR invalid password|ERR AUTH <password>)/i.test(message) ||
    /called without any password configured/.test(message)
  )
    return new MigrateError(
      'FM_AUTH_REFUSED',
      `${at} refused the user name or password`,
      'Check the credentials (URL, username, password, password-env or password-file).',
    )
  if (message.startsWith('NOAUTH'))
    return new MigrateError(
      'FM_AUTH_REQUIRED',
      `${at} wants a password`,
      'Put it into the URL, or give password-env or password-file.',
    )
  if (message.startsWith('NOPERM'))
    return new MigrateError(
      'FM_AUTH_RIGHTS',
      `${at} does not allow this user what is needed: ${message.slice(7, 200)}`,
      'Give the user the rights listed in docs/permissions.md.',
    )
  if (/^(LOADING|MASTERDOWN|BUSY|TRYAGAIN|CLUSTERDOWN)|cluster is down/.test(message))
    return new MigrateError(
      'FM_SERVER_LOADING',
      `${at} is not ready: ${message.slice(0, 120)}`,
      'Wait until the server has loaded its data, then try again.',
      { retryable: true },
    )
  if (/DB index is out of range|invalid DB index/i.test(message))
    return new MigrateError(
      'FM_DB_RANGE',
      `${at} has no database ${endpoint.db}`,
      'Choose a lower number (--db-map), or raise "databases" on the server.',
    )
  return new MigrateError(
    'FM_SERVER_REFUSED',
    `${at} answered: ${message.slice(0, 200)}`,
    'See the message of the server.',
  )
}

/** A server that answers without TLS, where a handshake was asked for. */
export function plainError(label: string): MigrateError {
  return new MigrateError(
    'FM_CONNECT_TLS',
    `${label} answers without TLS`,
    'Use redis:// or ferrite:// for it, or name the port that speaks TLS.',
  )
}

interface Meaning {
  readonly code: `FM_${string}`
  readonly what: string
  readonly hint: string
  readonly retryable: boolean
}

/** Nobody was reached. */
function unreachable({ label: at, tls }: Endpoint, code: string | undefined): Meaning | null {
  switch (code) {
    case 'ECONNREFUSED':
      return {
        code: 'FM_CONNECT_REFUSED',
        what: `nothing accepts connections at ${at}`,
        hint: 'Check host and port, and that the server runs.',
        retryable: true,
      }
    case 'ENOTFOUND':
    case 'EAI_AGAIN':
      return {
        code: 'FM_CONNECT_HOST',
        what: `the host of ${at} is not known`,
        hint: 'Check the host name.',
        retryable: code === 'EAI_AGAIN',
      }
    case 'ENOENT':
      return {
        code: 'FM_CONNECT_REFUSED',
        what: `there is no socket at ${at}`,
        hint: 'Check the path, and that the server runs.',
        retryable: true,
      }
    case 'EACCES':
      return {
        code: 'FM_CONNECT_REFUSED',
        what: `the socket at ${at} may not be opened`,
        hint: 'Run as a user that may.',
        retryable: false,
      }
    case 'ETIMEDOUT':
    case 'EHOSTUNREACH':
    case 'ENETUNREACH':
      return {
        code: 'FM_CONNECT_TIMEOUT',
        what: `${at} does not answer`,
        hint: tls
          ? 'A server without TLS answers no handshake: try redis:// or ferrite://. Else check the network and the firewall, or raise connect-timeout.'
          : 'Check the network and the firewall, or raise connect-timeout.',
        retryable: true,
      }
  }
  return null
}

/** Somebody was reached, who hung up. */
function closedEarly({ label, tls }: Endpoint, code: string | undefined): Meaning | null {
  if (code !== 'ECONNRESET' && code !== 'EPIPE') return null
  return {
    code: 'FM_CONNECT_LOST',
    what: `${label} closed the connection`,
    hint: tls
      ? 'If the port does not speak TLS, use redis:// or ferrite://.'
      : 'If the port speaks TLS, use rediss:// or ferrites://.',
    retryable: true,
  }
}

function isOfTls({ code, message }: NodeJS.ErrnoException): boolean {
  return (
    /^(ERR_SSL|ERR_TLS|CERT|DEPTH|SELF_SIGNED|UNABLE|EPROTO)/.test(code ?? '') ||
    /certificate|ssl|tls/i.test(message ?? '')
  )
}

function tlsFailure(at: string, message: string): Meaning {
  return {
    code: 'FM_CONNECT_TLS',
    what: `the TLS connection to ${at} was not made: ${message}`,
    hint: 'Give the right CA (tls-ca), client certificate (tls-cert, tls-key) or server name (tls-servername); if the port does not speak TLS, use redis:// or ferrite://.',
    retryable: false,
  }
}

function lost(at: string, message: string): Meaning {
  return {
    code: 'FM_CONNECT_LOST',
    what: `the connection to ${at} was lost: ${message}`,
    hint: 'Try again; if it comes back, look into the log of the server.',
    retryable: true,
  }
}
