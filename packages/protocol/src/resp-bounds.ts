import { MigrateError } from '@ferrite-migrate/contracts'

// What a server may say: above any of these it is damaged or means harm, whatever memory there is.

/** Bytes of one string. */
export const MAX_BULK = 4 * 1024 ** 3
/** Bytes of all strings of one reply together: it is held in memory as a whole. */
export const MAX_REPLY = 1024 ** 3
/** Elements of one array, and of all arrays of one reply together: each is a value in memory. */
export const MAX_ELEMENTS = 1 << 25
/** Bytes of a line: a status, an error, a number. */
export const MAX_LINE = 64 << 10
/** Arrays in arrays. */
export const MAX_NESTING = 32

/** The error for replies that no Redis-compatible server sends. */
export function damagedReply(detail: string): MigrateError {
  return new MigrateError(
    'FM_RESP_PROTOCOL',
    `the server sent no Redis protocol: ${detail}`,
    'Check host and port: something else than a Redis-compatible server may listen there, or it wants TLS.',
  )
}
