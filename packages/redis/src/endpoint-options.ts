import { readFileSync } from 'node:fs'
import { MigrateError } from '@ferrite-migrate/contracts'

/** Options come parsed from the registry, and as text from whoever gives them by hand. */
export type EndpointOptions = Readonly<Record<string, string | number | boolean | undefined>>

/** Undefined when it is not given, or empty. */
export function textOption(options: EndpointOptions, name: string): string | undefined {
  const value = options[name]
  return value === undefined || value === '' ? undefined : String(value)
}

/** Undefined when it is neither true nor false. */
export function flagOption(options: EndpointOptions, name: string): boolean | undefined {
  const value = options[name]
  if (typeof value === 'boolean') return value
  return value === 'true' ? true : value === 'false' ? false : undefined
}

/** @throws MigrateError FM_FILE_UNREADABLE */
export function readSecretFile(path: string, what: string): string {
  try {
    return readFileSync(path, 'utf8').trimEnd()
  } catch (cause) {
    throw new MigrateError(
      'FM_FILE_UNREADABLE',
      `the ${what} file ${path} cannot be read (${(cause as NodeJS.ErrnoException).code ?? 'error'})`,
      'Check the path and its permissions.',
      { cause },
    )
  }
}
