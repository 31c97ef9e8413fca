import { MigrateError } from '@ferrite-migrate/contracts'
import type { MigrationConfig, StoredMigration } from '@ferrite-migrate/core'

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

/** Hosts and ports that a connection string names, whoever asks there, and in which way. */
function serversOf(url: string): string {
  return url
    .replace(/^[^:]*:\/\//, '')
    .replace(/[/?#].*$/s, '')
    .replace(/^.*@/s, '')
}

/**
 * Refuses other servers for a migration that is known: what is known of its passwords, and of places that hold them, would be sent
 * there.
 * @throws MigrateError FM_RESUME_MISMATCH
 */
export function refuseOtherServers(stored: StoredMigration, given: Partial<MigrationConfig>): void {
  for (const end of ['source', 'target'] as const) {
    const url = given[end]
    if (url === undefined || serversOf(url) === serversOf(stored[end])) continue
    throw new MigrateError(
      'FM_RESUME_MISMATCH',
      `the ${end} of the migration ${stored.id} is ${stored[end]}, and another server is given`,
      'Name the same server, or begin a migration of its own.',
    )
  }
}
