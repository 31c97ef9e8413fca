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

/** What a client may add to the ends of a migration that is known: who asks. Anything else may lead elsewhere, or take TLS away. */
const CREDENTIALS = /^(sentinel-)?(username|password)$/

/** A connection string without who asks and without options: kind, servers, path. */
function placeOf(url: string): string {
  const query = url.indexOf('?')
  const plain = query < 0 ? url : url.slice(0, query)
  const scheme = /^[^:]*:\/\//.exec(plain)?.[0] ?? ''
  const rest = plain.slice(scheme.length)
  const slash = rest.indexOf('/')
  const authority = slash < 0 ? rest : rest.slice(0, slash)
  return `${scheme}${authority.slice(authority.lastIndexOf('@') + 1)}${slash < 0 ? '' : rest.slice(slash)}`
}

/**
 * Refuses other servers, or another way to them, for a migration that is known: what is known of its passwords, and of places that
 * hold them, would be sent there.
 * @throws MigrateError FM_RESUME_MISMATCH
 */
export function refuseOtherServers(stored: StoredMigration, given: Partial<MigrationConfig>): void {
  const saved = JSON.parse(stored.config) as Partial<MigrationConfig>
  for (const end of ['source', 'target'] as const) {
    const url = given[end]
    const options = (end === 'source' ? given.sourceOptions : given.targetOptions) ?? {}
    const known = (end === 'source' ? saved.sourceOptions : saved.targetOptions) ?? {}
    const others = Object.keys(options).filter((name) => options[name] !== known[name])
    const other = [...others, ...inQuery(url)].find((name) => !CREDENTIALS.test(name))
    if (other === undefined && (url === undefined || placeOf(url) === placeOf(stored[end]))) continue
    throw new MigrateError(
      'FM_RESUME_MISMATCH',
      other === undefined
        ? `the ${end} of the migration ${stored.id} is ${stored[end]}, and another one is given`
        : `of the ${end} of the migration ${stored.id} only username and password can be given anew, and ${other} is given`,
      'Name it as the migration does, with its password, or begin a migration of its own.',
    )
  }
}
