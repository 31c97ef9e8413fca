import { redactUrl, splitConnection } from '@ferrite-migrate/contracts'

export { redactUrl }

const SECRET_OPTION = /password|secret|token/i
/** Options that name where a secret is, without being one. */
export const PLACE = /-(env|file)$/

/** A connection string without its password: what a later run needs to find the same server again. */
export function withoutPassword(url: string): string {
  const parts = splitConnection(url)
  // What cannot be taken apart was never connected to.
  if (parts === null) return redactUrl(url)
  const { scheme, user, place, query } = parts
  const kept = query.replace(/([?&])([^=&]*)=[^&]*/g, (pair: string, mark: string, name: string) =>
    isSecretOption(decoded(name)) ? `${mark}${name}=` : pair,
  )
  return `${scheme}${user === '' ? '' : `${user}@`}${place}${kept}`
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    return text
  }
}

function isSecretOption(name: string): boolean {
  return SECRET_OPTION.test(name) && !PLACE.test(name)
}

/** True when the connection string or the options carry a password that will not be stored. */
export function hasSecret(url: string, options: Readonly<Record<string, unknown>>): boolean {
  return withoutPassword(url) !== url || Object.keys(options).some(isSecretOption)
}

export function withoutSecrets<T>(options: Readonly<Record<string, T>>): Record<string, T> {
  return Object.fromEntries(Object.entries(options).filter(([name]) => !isSecretOption(name)))
}

/** The environment variable that holds the password of one end, where nothing else gives it. */
export function passwordVariable(end: 'source' | 'target'): string {
  return `FERRITE_MIGRATE_${end.toUpperCase()}_PASSWORD`
}
