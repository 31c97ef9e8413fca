import { ENCODE_HINT, MigrateError } from '@ferrite-migrate/contracts'

/** A part of a connection string as it is meant. @throws MigrateError FM_URL_INVALID */
export function decodePart(text: string, what: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    throw new MigrateError('FM_URL_INVALID', `the ${what} in the connection string is not percent-encoded`, ENCODE_HINT)
  }
}
