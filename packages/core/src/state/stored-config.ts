import { resolve } from 'node:path'
import { MigrateError } from '@ferrite-migrate/contracts'
import { type MigrationConfig, type ResolvedConfig, resolveConfig } from '../config/config.js'
import { readConfigFile } from '../config/config-file.js'
import { hasSecret, PLACE, passwordVariable, withoutPassword, withoutSecrets } from '../config/secrets.js'
import type { StoredMigration } from './run-facts.js'

const NOT_STORED = 'all ways: their addresses are not stored; give the configuration file (-c) again'

/** The configuration as it is stored for a later run: no password, no webhook, no mail account. */
export function storableConfig(config: ResolvedConfig): string {
  const { notifications, stateDir: _, resume: __, configFile, ...rest } = config
  const { slack, email, webhook, off, lagAlarm } = notifications
  const told = slack !== undefined || email !== undefined || webhook !== undefined || off.length > 0
  return JSON.stringify({
    ...rest,
    // The addresses are secrets; where they were read is not.
    ...(configFile === undefined ? {} : { configFile: resolve(configFile) }),
    ...(told || lagAlarm > 0 ? { notifications: { lagAlarm, ...(told ? { off: [NOT_STORED] } : {}) } } : {}),
    // Whoever goes on may do so from another directory.
    ...(rest.transform === undefined ? {} : { transform: resolve(rest.transform) }),
    ...(rest.transformScript === undefined ? {} : { transformScript: resolve(rest.transformScript) }),
    errorsFile: resolve(rest.errorsFile),
    source: withoutPassword(config.source),
    target: withoutPassword(config.target),
    ...(config.queue === undefined ? {} : { queue: withoutPassword(config.queue) }),
    sourceOptions: withoutSecrets(config.sourceOptions),
    targetOptions: withoutSecrets(config.targetOptions),
  })
}

/**
 * The configuration of a stored migration under what is given anew; options and filters are joined one by one. Passwords come from `given`, or from the
 * environment (FERRITE_MIGRATE_SOURCE_PASSWORD, FERRITE_MIGRATE_TARGET_PASSWORD).
 * @throws MigrateError FM_RESUME_PASSWORD when one is missing
 */
export function resumedConfig(stored: StoredMigration, given: Partial<MigrationConfig>): MigrationConfig {
  const saved = JSON.parse(stored.config) as MigrationConfig
  if (saved.source === undefined && given.source === undefined)
    throw new MigrateError(
      'FM_RESUME_OLD',
      `the migration ${stored.id} was made by a version that kept no configuration`,
      'Give --source and --target again, with --id.',
    )
  const notifications = given.notifications ?? notificationsAgain(saved)
  const config: MigrationConfig = {
    ...saved,
    ...given,
    filter: { ...saved.filter, ...given.filter },
    sourceOptions: { ...saved.sourceOptions, ...given.sourceOptions },
    targetOptions: { ...saved.targetOptions, ...given.targetOptions },
    ...(notifications === undefined ? {} : { notifications }),
    id: stored.id,
    resume: true,
  }
  for (const end of ['source', 'target'] as const) {
    const secret = end === 'source' ? stored.facts.sourceSecret : stored.facts.targetSecret
    const options = end === 'source' ? config.sourceOptions : config.targetOptions
    const known = hasSecret(config[end], options ?? {}) || Object.keys(options ?? {}).some((name) => PLACE.test(name))
    if (secret && !known && process.env[passwordVariable(end)] === undefined)
      throw new MigrateError(
        'FM_RESUME_PASSWORD',
        `the password of the ${end} is not stored`,
        `Give --${end} or the configuration file (-c) again, or set ${passwordVariable(end)}.`,
      )
  }
  return config
}

/**
 * The same for whoever looks at both ends again: in the databases that their addresses named when it ran, and in no other ones.
 * @throws MigrateError FM_RESUME_PASSWORD
 */
export function ranConfig(stored: StoredMigration, given: Partial<MigrationConfig>): ResolvedConfig {
  const { resume: _, ...saved } = resumedConfig(stored, given)
  const config = resolveConfig(saved)
  const { databases } = stored.facts
  if (databases === undefined) return config
  return { ...config, filter: { ...config.filter, dbs: [...databases.dbs] }, dbMap: { ...databases.map } }
}

/** Who is told is read again from the file it once came from, for nothing of it is stored. */
function notificationsAgain({ notifications, configFile }: MigrationConfig): MigrationConfig['notifications'] {
  if (configFile === undefined || notifications === undefined) return notifications
  try {
    return readConfigFile(configFile).notifications
  } catch (error) {
    const why = error instanceof MigrateError ? error.code : 'unknown'
    return { ...notifications, off: [`all ways: ${configFile} cannot be read any more (${why}); give it with -c`] }
  }
}
