import type { MigrationConfig } from '@ferrite-migrate/core'
import { readConfigFile } from '@ferrite-migrate/core'
import { Flags } from '@oclif/core'
import { adapterOptions } from './flag-values.js'
import { migrateFlags } from './migrate-flags.js'

/** For commands that open a stored migration's ends again: passwords are not stored. */
export const endFlags = {
  config: Flags.string({ char: 'c', description: 'Configuration file with the credentials', helpValue: '<FILE>' }),
  source: Flags.string({ char: 's', description: 'Source connection string, where a password is needed' }),
  target: Flags.string({ char: 't', description: 'Target connection string, where a password is needed' }),
  'source-option': migrateFlags['source-option'],
  'target-option': migrateFlags['target-option'],
}

/** What these flags give anew. */
export function givenEnds(flags: {
  config?: string | undefined
  source?: string | undefined
  target?: string | undefined
  'source-option'?: string[] | undefined
  'target-option'?: string[] | undefined
}): Partial<MigrationConfig> {
  const file: Partial<MigrationConfig> = flags.config === undefined ? {} : readConfigFile(flags.config)
  const source = flags.source ?? file.source
  const target = flags.target ?? file.target
  return {
    ...(source === undefined ? {} : { source }),
    ...(target === undefined ? {} : { target }),
    ...(file.notifications === undefined ? {} : { notifications: file.notifications }),
    sourceOptions: { ...file.sourceOptions, ...adapterOptions(flags['source-option']) },
    targetOptions: { ...file.targetOptions, ...adapterOptions(flags['target-option']) },
  }
}
