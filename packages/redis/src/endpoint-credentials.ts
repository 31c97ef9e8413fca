import { keepSecret, MigrateError } from '@ferrite-migrate/contracts'
import { decodePart } from './address/decode-part.js'
import { type EndpointOptions, readSecretFile, textOption } from './endpoint-options.js'

export interface Credentials {
  readonly username?: string
  readonly password?: string
}

/** What a connection string says of user and password: percent-encoded, empty = nothing. */
interface Said {
  readonly username: string
  readonly password: string
}

const NOTHING: Said = { username: '', password: '' }

/**
 * User and password, of the options before those of the URL.
 * @throws MigrateError FM_ENV_MISSING, FM_FILE_UNREADABLE, FM_URL_INVALID
 */
export function readCredentials(said: Said, options: EndpointOptions): Credentials {
  return credentialsOf(said, options, '')
}

/**
 * User and password of sentinels, which only options tell.
 * @throws MigrateError FM_ENV_MISSING, FM_FILE_UNREADABLE
 */
export function readSentinelCredentials(options: EndpointOptions): Credentials {
  return credentialsOf(NOTHING, options, 'sentinel-')
}

function credentialsOf(said: Said, options: EndpointOptions, prefix: string): Credentials {
  const password = readPassword(said, options, prefix)
  if (password !== undefined) keepSecret(password)
  const username =
    textOption(options, `${prefix}username`) ??
    (said.username === '' ? undefined : decodePart(said.username, 'user name'))
  return { ...(username === undefined ? {} : { username }), ...(password === undefined ? {} : { password }) }
}

/** A file goes before a variable, and that before what is written down. */
function readPassword(said: Said, options: EndpointOptions, prefix: string): string | undefined {
  const envName = textOption(options, `${prefix}password-env`)
  const fileName = textOption(options, `${prefix}password-file`)
  let password =
    textOption(options, `${prefix}password`) ??
    (said.password === '' ? undefined : decodePart(said.password, 'password'))
  if (envName !== undefined) {
    password = process.env[envName]
    if (password === undefined)
      throw new MigrateError(
        'FM_ENV_MISSING',
        `the environment variable ${envName} is not set`,
        `Set it to the password, or give another --…-option ${prefix}password-env.`,
      )
  }
  return fileName === undefined ? password : readSecretFile(fileName, 'password')
}
