import { createRequire } from 'node:module'
import { MigrateError } from '@ferrite-migrate/contracts'

const load = createRequire(import.meta.url)

/**
 * Loads a package that only some runs need, and that is no part of a small installation.
 * @param what needs it, as the beginning of a sentence
 * @throws MigrateError FM_PACKAGE_MISSING
 */
export function optionalPackage<T>(name: string, what: string): T {
  try {
    return load(name) as T
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code !== 'MODULE_NOT_FOUND') throw cause
    throw new MigrateError(
      'FM_PACKAGE_MISSING',
      `${what} needs the package ${name}, which is not installed`,
      `Install it where the program is (npm install -g ${name}), or use the package ferrite-migrate, which has it.`,
      { cause },
    )
  }
}
