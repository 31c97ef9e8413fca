import { MigrateError } from '@ferrite-migrate/contracts'
import type { MigrationConfig } from '@ferrite-migrate/core'

/** Options that name where a secret is, instead of what it is. */
const PLACE = /-(env|file)$/

/** Names of the options in a connection string's query. */
function inQuery(url: string | undefined): string[] {
  const query = url?.split('?')[1]
  return query === undefined ? [] : [...new URLSearchParams(query).keys()]
}

/**
 * Refuses a configuration of somebody else that names files or variables of this machine for passwords: their contents would be sent
 * to whatever address it names as well.
 * @throws MigrateError FM_SECRET_PLACE
 */
export function refuseSecretPlaces({ source, target, sourceOptions, targetOptions }: Partial<MigrationConfig>): void {
  const names = [...Object.keys({ ...sourceOptions, ...targetOptions }), ...[source, target].flatMap(inQuery)].filter(
    (name) => PLACE.test(name),
  )
  if (names.length > 0)
    throw new MigrateError(
      'FM_SECRET_PLACE',
      `${names[0]} names a place of this machine, which is not taken from clients`,
      'Give the password itself, or start serve with --allow-secret-places.',
    )
}
