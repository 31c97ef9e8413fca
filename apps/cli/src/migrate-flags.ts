import { MigrateError, parseOption } from '@ferrite-migrate/contracts'
import type { MigrationConfig } from '@ferrite-migrate/core'
import { Flags, type Interfaces } from '@oclif/core'

/** The flags of `migrate`; names, letters and defaults as on the product page. */
export const migrateFlags = {
  source: Flags.string({ char: 's', description: 'Source connection string', required: true, helpValue: '<SOURCE>' }),
  target: Flags.string({ char: 't', description: 'Target Ferrite connection', required: true, helpValue: '<TARGET>' }),
  mode: Flags.string({
    char: 'm',
    description: 'Migration mode',
    options: ['live', 'snapshot', 'incremental'],
    default: 'live',
    helpValue: '<MODE>',
  }),
  parallel: Flags.integer({
    char: 'p',
    description: 'Parallel workers [default: 4; 1 into a Ferrite on two cores]',
    helpValue: '<N>',
  }),
  'batch-size': Flags.integer({ char: 'b', description: 'Keys per batch', default: 1000, helpValue: '<SIZE>' }),
  filter: Flags.string({
    char: 'f',
    description: 'Include keys matching pattern',
    multiple: true,
    multipleNonGreedy: true,
    helpValue: '<PATTERN>',
  }),
  exclude: Flags.string({
    char: 'e',
    description: 'Exclude keys matching pattern',
    multiple: true,
    multipleNonGreedy: true,
    helpValue: '<PATTERN>',
  }),
  type: Flags.string({
    description: 'Only keys of this type',
    multiple: true,
    multipleNonGreedy: true,
    options: ['string', 'list', 'set', 'zset', 'hash', 'stream', 'module'],
  }),
  db: Flags.integer({ description: 'Only this database', multiple: true, multipleNonGreedy: true }),
  expiry: Flags.string({
    description: 'Only keys with or without an expiry',
    options: ['any', 'expiring', 'persistent'],
    default: 'any',
  }),
  'dry-run': Flags.boolean({ description: 'Analyze without migrating' }),
  resume: Flags.string({ description: 'Resume previous migration', helpValue: '<ID>' }),
  verify: Flags.boolean({ description: 'Verify after migration' }),
  id: Flags.string({ description: 'Name of the migration; chosen when left out' }),
  'on-conflict': Flags.string({
    description: 'What to do with keys that the target already has',
    options: ['replace', 'skip', 'fail'],
    default: 'replace',
  }),
  'allow-eviction': Flags.boolean({ description: 'Go on although the target evicts keys when it is full' }),
  capture: Flags.string({
    description: 'How changes are learned',
    options: ['auto', 'psync', 'notifications'],
    default: 'auto',
  }),
  apply: Flags.string({
    description: 'How changes reach the target',
    options: ['auto', 'replay', 'state'],
    default: 'auto',
  }),
  'until-lag': Flags.integer({
    description: 'With --exit: end when at most so many keys are behind',
    dependsOn: ['exit'],
    helpValue: '<KEYS>',
  }),
  exit: Flags.boolean({ description: 'Live mode: end when the target has caught up' }),
  'spool-limit': Flags.string({
    description: 'Disk space for changes that the target has not taken yet',
    default: '16gb',
    helpValue: '<SIZE>',
  }),
  'sync-timeout': Flags.string({
    description: 'How long a lost server is tried again',
    default: '1h',
    helpValue: '<TIME>',
  }),
  'source-option': Flags.string({
    description: 'Option of the source adapter',
    multiple: true,
    multipleNonGreedy: true,
    helpValue: '<NAME=VALUE>',
  }),
  'target-option': Flags.string({
    description: 'Option of the target adapter',
    multiple: true,
    multipleNonGreedy: true,
    helpValue: '<NAME=VALUE>',
  }),
}

export type MigrateFlagValues = Interfaces.InferredFlags<typeof migrateFlags>

function adapterOptions(list: readonly string[] = []): Record<string, string> {
  return Object.fromEntries(
    list.map((pair) => {
      const at = pair.indexOf('=')
      if (at < 1)
        throw new MigrateError(
          'FM_OPTION_VALUE',
          `"${pair.slice(0, 60)}" is not name=value`,
          'Write for instance --source-option tls-ca=/path/ca.pem.',
        )
      return [pair.slice(0, at), pair.slice(at + 1)]
    }),
  )
}

/** The configuration that the flags describe. @throws MigrateError FM_OPTION_VALUE, FM_NOT_YET */
export function migrationConfig(flags: MigrateFlagValues, stateDir: string): MigrationConfig {
  if (flags.resume !== undefined)
    throw new MigrateError(
      'FM_NOT_YET',
      '--resume is not available in this version',
      'Start the migration again: it overwrites what it wrote before.',
    )
  if (flags.mode === 'incremental')
    throw new MigrateError(
      'FM_NOT_YET',
      '--mode incremental is not available in this version',
      'Use --mode live, or --mode snapshot again and again.',
    )
  const target = adapterOptions(flags['target-option'])
  if (flags['allow-eviction']) target['allow-eviction'] = 'true'
  return {
    source: flags.source,
    target: flags.target,
    mode: flags.mode as 'live' | 'snapshot',
    ...(flags.id === undefined ? {} : { id: flags.id }),
    ...(flags.parallel === undefined ? {} : { parallel: flags.parallel }),
    batchSize: flags['batch-size'],
    filter: {
      include: flags.filter ?? [],
      exclude: flags.exclude ?? [],
      types: (flags.type ?? []) as 'string'[],
      dbs: flags.db ?? [],
      expiry: flags.expiry as 'any',
    },
    onConflict: flags['on-conflict'] as 'replace',
    capture: flags.capture as 'auto',
    apply: flags.apply as 'auto',
    verify: flags.verify,
    exit: flags.exit,
    ...(flags['until-lag'] === undefined ? {} : { untilLag: flags['until-lag'] }),
    spoolLimit: parseOption(
      { name: 'spool-limit', type: 'bytes', description: 'Give a size such as 16gb.' },
      flags['spool-limit'],
    ) as number,
    syncTimeoutMs: parseOption(
      { name: 'sync-timeout', type: 'duration', description: 'Give a duration such as 30m.' },
      flags['sync-timeout'],
    ) as number,
    sourceOptions: adapterOptions(flags['source-option']),
    targetOptions: target,
    stateDir,
  }
}
