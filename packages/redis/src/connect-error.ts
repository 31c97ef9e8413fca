import { MigrateError } from '@ferrite-migrate/contracts'
import type { Endpoint } from './endpoint.js'

/** What a failed connection attempt means to a person. */
export function connectError(endpoint: Endpoint, cause: unknown): MigrateError {
  if (cause instanceof MigrateError) return cause
  const error = cause as NodeJS.ErrnoException
  const at = endpoint.label
  const make = (code: `FM_${string}`, what: string, hint: string, retryable: boolean): MigrateError =>
    new MigrateError(code, what, hint, { retryable, cause })
  switch (error.code) {
    case 'ECONNREFUSED':
      return make(
        'FM_CONNECT_REFUSED',
        `nothing accepts connections at ${at}`,
        'Check host and port, and that the server runs.',
        true,
      )
    case 'ENOTFOUND':
    case 'EAI_AGAIN':
      return make(
        'FM_CONNECT_HOST',
        `the host of ${at} is not known`,
        'Check the host name.',
        error.code === 'EAI_AGAIN',
      )
    case 'ENOENT':
      return make(
        'FM_CONNECT_REFUSED',
        `there is no socket at ${at}`,
        'Check the path, and that the server runs.',
        true,
      )
    case 'EACCES':
      return make('FM_CONNECT_REFUSED', `the socket at ${at} may not be opened`, 'Run as a user that may.', false)
    case 'ETIMEDOUT':
    case 'EHOSTUNREACH':
    case 'ENETUNREACH':
      return make(
        'FM_CONNECT_TIMEOUT',
        `${at} does not answer`,
        /^(rediss|valkeys|ferrites):/.test(at)
          ? 'A server without TLS answers no handshake: try redis:// or ferrite://. Else check the network and the firewall, or raise connect-timeout.'
          : 'Check the network and the firewall, or raise connect-timeout.',
        true,
      )
    case 'ECONNRESET':
    case 'EPIPE':
      return make(
        'FM_CONNECT_LOST',
        `${at} closed the connection`,
        endpoint.tls
          ? 'If the port does not speak TLS, use redis:// or ferrite://.'
          : 'If the port speaks TLS, use rediss:// or ferrites://.',
        true,
      )
  }
  if (
    endpoint.tls &&
    (/^(ERR_SSL|ERR_TLS|CERT|DEPTH|SELF_SIGNED|UNABLE|EPROTO)/.test(error.code ?? '') ||
      /certificate|ssl|tls/i.test(error.message ?? ''))
  )
    return make(
      'FM_CONNECT_TLS',
      `the TLS connection to ${at} was not made: ${error.message}`,
      'Give the right CA (tls-ca), client certificate (tls-cert, tls-key) or server name (tls-servername); if the port does not speak TLS, use redis:// or ferrite://.',
      false,
    )
  return make(
    'FM_CONNECT_LOST',
    `the connection to ${at} was lost: ${error.message ?? String(cause)}`,
    'Try again; if it comes back, look into the log of the server.',
    true,
  )
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
  return new MigrateError('FM_INTERRUPTED', `stopped before ${label} answered`, 'Go on with --resume.')
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
  if (/^(LOADING|MASTERDOWN|BUSY|TRYAGAIN|CLUSTERDOWN)/.test(message))
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
