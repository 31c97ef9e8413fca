import { MigrateError } from '@ferrite-migrate/contracts'

/** Where to listen: a host without brackets, and a port (0 = any free one). */
export interface ListenPlace {
  readonly host: string
  readonly port: number
}

/**
 * @param address HOST:PORT, or PORT for this machine alone
 * @throws MigrateError FM_OPTION_VALUE
 */
export function listenPlace(address: string, example = '9108'): ListenPlace {
  const parts = /^(?:(?<host>\[[0-9a-f:.]+\]|[^:[\]]*):)?(?<port>\d{1,5})$/i.exec(address)?.groups
  const port = Number(parts?.port)
  if (parts === undefined || port > 65535)
    throw new MigrateError(
      'FM_OPTION_VALUE',
      `"${address.slice(0, 60)}" is no address to listen at`,
      `Give HOST:PORT, such as 127.0.0.1:${example} (0.0.0.0:${example} for all), or PORT for this machine alone.`,
    )
  return { host: parts.host?.replace(/^\[|\]$/g, '') || '127.0.0.1', port }
}

/** What is said where an address cannot be listened at. */
export function notListening(
  address: string,
  cause: NodeJS.ErrnoException,
  hint = 'Give an address of this machine and a port that is free.',
): MigrateError {
  const why =
    cause.code === 'EADDRINUSE'
      ? 'it is taken (EADDRINUSE)'
      : cause.code === 'EADDRNOTAVAIL'
        ? 'this machine has no such address (EADDRNOTAVAIL)'
        : cause.code === 'EACCES'
          ? 'the system does not allow it (EACCES)'
          : cause.code === 'ENOENT'
            ? 'there is no such folder (ENOENT)'
            : cause.code === 'ENAMETOOLONG'
              ? 'the path is too long for a socket'
              : (cause.code ?? cause.message)
  return new MigrateError('FM_LISTEN', `nobody can be answered at ${address}: ${why}`, hint, { cause })
}
