import { MigrateError, printable, withoutSecrets } from '@ferrite-migrate/contracts'

/** An error as it is printed: code and what happened, below it what to do. */
export function errorText(error: unknown): string {
  if (error instanceof MigrateError) return `Error ${error.code}: ${error.message}\n  ${error.hint}`
  return `Error FM_INTERNAL: ${printable(withoutSecrets(error instanceof Error ? error.message : String(error)))}\n  This is a fault of ferrite-migrate: please report it with -v.`
}
