import type { ConnectionOptions } from 'node:tls'
import { MigrateError } from '@ferrite-migrate/contracts'
import { type EndpointOptions, flagOption, readSecretFile, textOption } from './endpoint-options.js'

/**
 * What TLS connections are made with; which server name is expected is `serverName`'s part, where no option says it.
 * @throws MigrateError FM_FILE_UNREADABLE, FM_TLS_FILE
 */
export function readTls(options: EndpointOptions): ConnectionOptions {
  const ca = textOption(options, 'tls-ca')
  const cert = textOption(options, 'tls-cert')
  const key = textOption(options, 'tls-key')
  const servername = textOption(options, 'tls-servername')
  return {
    rejectUnauthorized: flagOption(options, 'tls-verify') !== false,
    ...(servername === undefined ? {} : { servername }),
    ...(ca === undefined ? {} : { ca: certificate(ca, 'CA') }),
    ...(cert === undefined ? {} : { cert: certificate(cert, 'client certificate') }),
    ...(key === undefined ? {} : { key: certificate(key, 'client key') }),
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
