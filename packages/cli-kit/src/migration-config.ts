import { MigrateError } from '@ferrite-migrate/contracts'
import { type MigrationConfig, readConfigFile, resumedConfig, StateStore } from '@ferrite-migrate/core'
import {
  adapterOptions,
  parseBytes,
  parseDbMap,
  parseFactor,
  parseMs,
  parseShare,
  parseTtlRule,
} from './flag-values.js'
import type { MigrateFlagValues } from './migrate-flags.js'

/** What the flags say, and nothing of what they do not. */
function given(flags: MigrateFlagValues): Partial<MigrationConfig> {
  const targetOptions = givenTargetOptions(flags)
  const sourceOptions = givenSourceOptions(flags)
  const filter = givenFilter(flags)
  const all = {
    source: flags.source,
    target: flags.target,
    mode: flags.mode as 'live' | undefined,
    id: flags.id,
    transform: flags.transform,
    transformScript: flags['transform-script'],
    scriptOptions: givenScriptOptions(flags),
    onTransformError: flags['on-transform-error'] as 'fail' | undefined,
    errorsFile: flags['errors-file'],
    onCollision: flags['on-collision'] as 'fail' | undefined,
    keyTemplate: flags['transform-keys'],
    dbMap: parseDbMap(flags['db-map']),
    unsupported: flags.unsupported as 'fail' | undefined,
    parallel: flags.parallel,
    workers: flags.workers,
    batchSize: flags['batch-size'],
    onConflict: flags['on-conflict'] as 'replace' | undefined,
    deleteExtra: flags['delete-extra'] || undefined,
    capture: flags.capture as 'auto' | undefined,
    apply: flags.apply as 'auto' | undefined,
    verify: flags.verify || undefined,
    strict: flags.strict || undefined,
    ttl: parseTtlRule(flags.ttl),
    ttlFactor: parseFactor(flags['ttl-factor']),
    exit: flags.exit || undefined,
    untilLag: flags['until-lag'],
    spoolLimit: parseBytes('spool-limit', flags['spool-limit']),
    syncTimeoutMs: parseMs('sync-timeout', flags['sync-timeout']),
    cutoverMaxLag: flags['cutover-max-lag'],
    intervalMs: parseMs('interval', flags.interval),
    schedule: flags.schedule,
    once: flags.once || undefined,
    undo: flags.undo,
    journal: flags.journal as 'local' | undefined,
    undoLimit: parseBytes('undo-limit', flags['undo-limit']),
    autoRollback: flags['auto-rollback'] || undefined,
    rollbackOnErrorRate: parseShare('rollback-on-error-rate', flags['rollback-on-error-rate']),
    maxRate: flags['max-rate'],
    maxSourceCpu: flags['max-source-cpu'],
    maxSourceLatencyMs: parseMs('max-source-latency', flags['max-source-latency']),
    sourceOptions,
    targetOptions,
    filter,
  }
  return defined(all) as Partial<MigrationConfig>
}

function givenFilter(flags: MigrateFlagValues): MigrationConfig['filter'] {
  return orNothing({
    ...(flags.filter === undefined ? {} : { include: flags.filter }),
    ...(flags.exclude === undefined ? {} : { exclude: flags.exclude }),
    ...(flags.type === undefined ? {} : { types: flags.type as 'string'[] }),
    ...(flags.db === undefined ? {} : { dbs: flags.db }),
    ...(flags.expiry === undefined ? {} : { expiry: flags.expiry as 'any' }),
    ...defined({
      includeRegex: flags['filter-regex'],
      excludeRegex: flags['exclude-regex'],
      minSize: parseBytes('min-size', flags['min-size']),
      maxSize: parseBytes('max-size', flags['max-size']),
      minTtlMs: parseMs('min-ttl', flags['min-ttl']),
      maxTtlMs: parseMs('max-ttl', flags['max-ttl']),
      slots: flags.slots,
    }),
  })
}

function givenScriptOptions(flags: MigrateFlagValues): MigrationConfig['scriptOptions'] {
  return orNothing(
    defined({
      memory: flags['script-memory'],
      timeout: flags['script-timeout'],
      workers: flags['script-workers'],
    }),
  )
}

function givenSourceOptions(flags: MigrateFlagValues): MigrationConfig['sourceOptions'] {
  return orNothing(adapterOptions(flags['source-option']))
}

function givenTargetOptions(flags: MigrateFlagValues): MigrationConfig['targetOptions'] {
  const options = adapterOptions(flags['target-option'])
  if (flags['allow-eviction']) options['allow-eviction'] = 'true'
  return orNothing(options)
}

/** A group in which nothing is given is not given. */
function orNothing<T extends object>(fields: T): T | undefined {
  return Object.keys(fields).length > 0 ? fields : undefined
}

/** What is not given stays out. */
function defined<T extends object>(fields: T): { [K in keyof T]?: Exclude<T[K], undefined> } {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined)) as {
    [K in keyof T]?: Exclude<T[K], undefined>
  }
}

/** A configuration under another: lists and values of `over` win, groups of options and filters are joined. */
function merge(under: Partial<MigrationConfig>, over: Partial<MigrationConfig>): Partial<MigrationConfig> {
  return {
    ...under,
    ...over,
    filter: { ...under.filter, ...over.filter },
    sourceOptions: { ...under.sourceOptions, ...over.sourceOptions },
    targetOptions: { ...under.targetOptions, ...over.targetOptions },
  }
}

/**
 * The configuration of a run: a stored one with --resume, else a file with -c, and the flags over it.
 * @throws MigrateError FM_OPTION_VALUE, FM_CONFIG_*, FM_ID_UNKNOWN, FM_RESUME_PASSWORD
 */
export function migrationConfig(
  flags: MigrateFlagValues,
  stateDir: (flag: string | undefined) => string,
  stateDirFlag: string | undefined,
): MigrationConfig {
  const file = flags.config === undefined ? {} : { ...readConfigFile(flags.config), configFile: flags.config }
  const config = merge(file, given(flags))
  const directory = stateDir(stateDirFlag ?? config.stateDir)
  if (flags.resume !== undefined) {
    if (flags.id !== undefined && flags.id !== flags.resume)
      throw new MigrateError('FM_OPTION_VALUE', '--resume and --id name two migrations', 'Leave --id out.')
    const store = new StateStore(directory)
    try {
      return { ...resumedConfig(store.get(flags.resume), config), stateDir: directory }
    } finally {
      store.close()
    }
  }
  const { source, target } = config
  if (source === undefined || target === undefined)
    throw new MigrateError(
      'FM_CONFIG_INVALID',
      `${source === undefined ? '--source' : '--target'} is missing`,
      'Give --source and --target, or a configuration file with -c.',
    )
  return { ...config, source, target, stateDir: directory }
}
