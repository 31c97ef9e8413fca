import { keepSecret, MigrateError } from '@ferrite-migrate/contracts'
import { type EndpointOptions, readSecretFile, textOption } from './endpoint-options.js'
import { decodePart, type EndpointUrl } from './endpoint-url.js'

export interface Credentials {
  readonly username?: string
  readonly password?: string
}

/**
 * User and password, of the options before those of the URL.
 * @throws MigrateError FM_ENV_MISSING, FM_FILE_UNREADABLE, FM_URL_INVALID
 */
export function readCredentials(url: EndpointUrl, options: EndpointOptions): Credentials {
  const password = readPassword(url, options)
  if (password !== undefined) keepSecret(password)
  const username =
    textOption(options, 'username') ?? (url.username === '' ? undefined : decodePart(url.username, 'user name'))
  return { ...(username === undefined ? {} : { username }), ...(password === undefined ? {} : { password }) }
}

/** A file goes before a variable, and that before what is written down. */
function readPassword(url: EndpointUrl, options: EndpointOptions): string | undefined {
  const envName = textOption(options, 'password-env')
  const fileName = textOption(options, 'password-file')
  let password =
    textOption(options, 'password') ?? (url.password === '' ? undefined : decodePart(url.password, 'password'))
  if (envName !== undefined) {
    password = process.env[envName]
    if (password === undefined)
      throw new MigrateError(
        'FM_ENV_MISSING',
        `the environment variable ${envName} is not set`,
        'Set it to the password, or give another --…-option password-env.',
      )
  }
  return fileName === undefined ? password : readSecretFile(fileName, 'password')
}
