import { MigrateError, parseOption } from '@ferrite-migrate/contracts'
import { type MigrationConfig, readConfigFile, resumedConfig, StateStore } from '@ferrite-migrate/core'
import { Flags, type Interfaces } from '@oclif/core'
import { yesFlag } from './confirm.js'

/** Which group of the help a flag stands in; the help gives their order. */
const GROUPS: Readonly<Record<string, readonly string[]>> = {
  'SOURCE AND TARGET': [
    'config',
    'source',
    'target',
    'mode',
    'id',
    'resume',
    'dry-run',
    'source-option',
    'target-option',
    'flags',
    'client',
  ],
  'WHICH KEYS': [
    'filter',
    'exclude',
    'type',
    'db',
    'expiry',
    'filter-regex',
    'exclude-regex',
    'min-size',
    'max-size',
    'min-ttl',
    'max-ttl',
    'slots',
  ],
  'LIVE AND INCREMENTAL': [
    'verify',
    'strict',
    'exit',
    'until-lag',
    'cutover-max-lag',
    'capture',
    'apply',
    'spool-limit',
    'sync-timeout',
    'interval',
    'schedule',
    'once',
  ],
  'NAMES AND VALUES': [
    'transform',
    'transform-script',
    'script-memory',
    'script-timeout',
    'script-workers',
    'on-transform-error',
    'errors-file',
    'on-collision',
    'transform-keys',
    'db-map',
    'unsupported',
    'ttl',
    'ttl-factor',
  ],
  SAFETY: [
    'on-conflict',
    'delete-extra',
    'allow-eviction',
    'undo',
    'undo-limit',
    'auto-rollback',
    'rollback-on-error-rate',
  ],
  SPEED: ['parallel', 'batch-size', 'max-rate', 'max-source-cpu', 'max-source-latency'],
}

/** Puts flags into their groups, which is set on the flags themselves. */
function grouped<T extends Record<string, { helpGroup?: string | undefined }>>(flags: T): T {
  for (const [group, names] of Object.entries(GROUPS))
    for (const name of names) if (flags[name] !== undefined) flags[name].helpGroup = group
  return flags
}

/** The flags of `migrate`; names, letters and defaults as on the product page. A flag that is not given says nothing: a file or the schema does. */
export const migrateFlags = grouped({
  config: Flags.string({ char: 'c', description: 'Configuration file; flags override it', helpValue: '<FILE>' }),
  source: Flags.string({ char: 's', description: 'Source connection string', helpValue: '<SOURCE>' }),
  target: Flags.string({ char: 't', description: 'Target Ferrite connection', helpValue: '<TARGET>' }),
  mode: Flags.string({
    char: 'm',
    description:
      'live: copy, then follow the source until the cutover; snapshot: copy once; incremental: one pass after the other [default: live]',
    options: ['live', 'snapshot', 'incremental'],
    helpValue: '<MODE>',
  }),
  parallel: Flags.integer({
    char: 'p',
    description: 'Parallel workers [default: 4; 1 into a Ferrite on two cores]',
    helpValue: '<N>',
  }),
  'batch-size': Flags.integer({ char: 'b', description: 'Keys per batch [default: 1000]', helpValue: '<SIZE>' }),
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
  db: Flags.integer({
    description: 'Only this database',
    multiple: true,
    multipleNonGreedy: true,
    helpValue: '<N>',
  }),
  expiry: Flags.string({
    description: 'Only keys with or without an expiry',
    options: ['any', 'expiring', 'persistent'],
  }),
  'filter-regex': Flags.string({
    description: 'Include keys matching a regular expression',
    multiple: true,
    multipleNonGreedy: true,
    helpValue: '<REGEX>',
  }),
  'exclude-regex': Flags.string({
    description: 'Exclude keys matching a regular expression',
    multiple: true,
    multipleNonGreedy: true,
    helpValue: '<REGEX>',
  }),
  'min-size': Flags.string({ description: 'Only values of at least this size', helpValue: '<SIZE>' }),
  'max-size': Flags.string({ description: 'Only values of at most this size, up to 4mb', helpValue: '<SIZE>' }),
  'min-ttl': Flags.string({ description: 'Only keys that live at least this much longer', helpValue: '<TIME>' }),
  'max-ttl': Flags.string({ description: 'Only keys that live at most this much longer', helpValue: '<TIME>' }),
  slots: Flags.string({
    description: 'Only keys of these cluster slots, such as 0-5460',
    multiple: true,
    multipleNonGreedy: true,
    delimiter: ',',
    helpValue: '<SLOTS>',
  }),
  transform: Flags.string({ description: 'File with rules for names and values', helpValue: '<FILE>' }),
  'transform-script': Flags.string({
    description: 'Script with functions for names and values: .js, .mjs, .ts or .py',
    helpValue: '<FILE>',
  }),
  'script-memory': Flags.string({
    description: 'Memory that the script may take [default: 256mb]',
    helpValue: '<SIZE>',
  }),
  'script-timeout': Flags.string({
    description: 'Time that the script may take for a batch [default: 10s]',
    helpValue: '<TIME>',
  }),
  'script-workers': Flags.integer({ description: 'Threads that the script runs in [default: 1]', helpValue: '<N>' }),
  'on-transform-error': Flags.string({
    description: 'What to do with a value that cannot be transformed [default: fail]',
    options: ['fail', 'skip', 'pass'],
  }),
  'errors-file': Flags.string({
    description: 'Where such values are listed [default: errors.ndjson]',
    helpValue: '<FILE>',
  }),
  'on-collision': Flags.string({
    description: 'What to do when two keys get one name [default: fail]',
    options: ['fail', 'last'],
  }),
  'transform-keys': Flags.string({
    description: 'Names of keys at the target, such as "prefix:{key}"',
    helpValue: '<TEMPLATE>',
  }),
  'db-map': Flags.string({
    description: 'Database that becomes another, such as 0:1',
    multiple: true,
    multipleNonGreedy: true,
    helpValue: '<FROM:TO>',
  }),
  unsupported: Flags.string({
    description: 'What to do with what the target cannot hold [default: degrade]',
    options: ['fail', 'skip', 'degrade'],
  }),
  'dry-run': Flags.boolean({ description: 'Analyze without migrating' }),
  resume: Flags.string({ description: 'Resume previous migration', helpValue: '<ID>' }),
  verify: Flags.boolean({
    description: 'Verify after migration: a snapshot at its end; live after the first copy and again at the cutover',
  }),
  strict: Flags.boolean({
    description: 'Let a verification count keys that only the target has, also those that were there before',
  }),
  ttl: Flags.string({
    description: 'Ends of keys: keep them, none, or so long from now [default: keep]',
    helpValue: '<keep|none|TIME>',
  }),
  'ttl-factor': Flags.string({
    description: 'What is left to live, times this [default: 1]',
    helpValue: '<FACTOR>',
  }),
  id: Flags.string({ description: 'Name of the migration; chosen when left out', helpValue: '<ID>' }),
  'on-conflict': Flags.string({
    description: 'What to do with keys that the target already has [default: replace]',
    options: ['replace', 'skip', 'fail'],
  }),
  'delete-extra': Flags.boolean({ description: 'Delete target keys that the source does not have' }),
  'allow-eviction': Flags.boolean({ description: 'Go on although the target evicts keys when it is full' }),
  capture: Flags.string({
    description: 'How changes are learned [default: auto]',
    options: ['auto', 'psync', 'notifications', 'polling'],
  }),
  apply: Flags.string({
    description: 'How changes reach the target [default: auto]',
    options: ['auto', 'replay', 'state'],
  }),
  'until-lag': Flags.integer({
    description: 'With --exit: end when at most so many keys are behind',
    dependsOn: ['exit'],
    helpValue: '<KEYS>',
  }),
  exit: Flags.boolean({ description: 'Live mode: end when the target has caught up' }),
  'spool-limit': Flags.string({
    description: 'Disk space for changes that the target has not taken yet [default: 16gb]',
    helpValue: '<SIZE>',
  }),
  'sync-timeout': Flags.string({
    description: 'How long a lost server is tried again [default: 1h]',
    helpValue: '<TIME>',
  }),
  'cutover-max-lag': Flags.integer({
    description: 'Keys behind at which a cutover may start [default: 100]',
    helpValue: '<KEYS>',
  }),
  interval: Flags.string({ description: 'Incremental mode: time between passes [default: 15m]', helpValue: '<TIME>' }),
  schedule: Flags.string({ description: 'Incremental mode: cron expression of the passes', helpValue: '<CRON>' }),
  once: Flags.boolean({ description: 'Incremental mode: one pass, then end' }),
  undo: Flags.boolean({ description: 'Keep what the target had, for a rollback [default: yes]', allowNo: true }),
  'undo-limit': Flags.string({ description: 'Disk space for that [default: 16gb]', helpValue: '<SIZE>' }),
  'auto-rollback': Flags.boolean({ description: 'Roll back when the run fails' }),
  'rollback-on-error-rate': Flags.string({
    description: 'With --auto-rollback: share of failed writes that counts as failure, such as 0.01',
    dependsOn: ['auto-rollback'],
    helpValue: '<SHARE>',
  }),
  'max-rate': Flags.integer({ description: 'Records written per second at most', helpValue: '<N>' }),
  'max-source-cpu': Flags.integer({
    description: 'Slow down while the source is busier than this, in percent of a core',
    helpValue: '<PERCENT>',
  }),
  'max-source-latency': Flags.string({
    description: 'Slow down while the source takes longer to answer',
    helpValue: '<TIME>',
  }),
  flags: Flags.string({
    description: 'Memcached: what becomes of the flags of items [default: drop]',
    options: ['drop', 'sidecar', 'prefix', 'decode'],
  }),
  client: Flags.string({
    description: 'Memcached: the client whose values --flags decode reads',
    options: ['php', 'python', 'java', 'dalli'],
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
  yes: yesFlag,
})

/** Flags that only make sense for a live source. */
const LIVE_ONLY = [
  'source',
  'mode',
  'capture',
  'apply',
  'until-lag',
  'exit',
  'interval',
  'schedule',
  'once',
  'cutover-max-lag',
  'spool-limit',
  'max-source-cpu',
  'max-source-latency',
  'flags',
  'client',
] as const

/** The flags of commands that import a file. */
export const importFlags = Object.fromEntries(
  Object.entries(migrateFlags).filter(([name]) => !LIVE_ONLY.includes(name as 'source')),
) as Omit<typeof migrateFlags, (typeof LIVE_ONLY)[number]>

export type MigrateFlagValues = Partial<Interfaces.InferredFlags<typeof migrateFlags>>

/** `name=value` pairs as options. @throws MigrateError FM_OPTION_VALUE */
export function adapterOptions(list: readonly string[] = []): Record<string, string> {
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

function bytes(name: string, value: string | undefined): number | undefined {
  return value === undefined
    ? undefined
    : (parseOption({ name, type: 'bytes', description: 'Give a size such as 16gb.' }, value) as number)
}

function milliseconds(name: string, value: string | undefined): number | undefined {
  return value === undefined
    ? undefined
    : (parseOption({ name, type: 'duration', description: 'Give a duration such as 30m.' }, value) as number)
}

function share(name: string, value: string | undefined): number | undefined {
  if (value === undefined) return undefined
  if (!/^(0(\.\d+)?|1(\.0+)?|\.\d+)$/.test(value))
    throw new MigrateError(
      'FM_OPTION_VALUE',
      `option ${name} must be a share between 0 and 1, not "${value.slice(0, 30)}"`,
      'Write for instance 0.01 for one percent.',
    )
  return Number(value)
}

function dbMap(pairs: readonly string[] | undefined): Record<string, number> | undefined {
  if (pairs === undefined) return undefined
  const froms = pairs.map((pair) => pair.split(':')[0])
  const twice = froms.find((from, i) => froms.indexOf(from) !== i)
  if (twice !== undefined)
    throw new MigrateError(
      'FM_OPTION_VALUE',
      `--db-map says twice where database ${twice} goes`,
      'Give one target for each database of the source.',
    )
  return Object.fromEntries(
    pairs.map((pair) => {
      const match = /^(\d{1,5}):(\d{1,5})$/.exec(pair)
      if (match === null)
        throw new MigrateError(
          'FM_OPTION_VALUE',
          `"${pair.slice(0, 30)}" is no pair of databases`,
          'Write for instance --db-map 0:1.',
        )
      return [match[1], Number(match[2])]
    }),
  )
}

function ttlRule(value: string | undefined): 'keep' | 'none' | number | undefined {
  if (value === undefined || value === 'keep' || value === 'none') return value
  const option = {
    name: 'ttl',
    type: 'duration',
    description: 'Give keep, none or a duration such as 1h.',
    min: 1,
  } as const
  return parseOption(option, value) as number
}

function factor(value: string | undefined): number | undefined {
  if (value === undefined) return undefined
  const number = Number(value)
  if (value.trim() === '' || !(number > 0) || !Number.isFinite(number))
    throw new MigrateError(
      'FM_OPTION_VALUE',
      `option ttl-factor must be a number above 0, not "${value.slice(0, 30)}"`,
      'Write for instance 0.5 for half of the time that is left.',
    )
  return number
}

/** What the flags say, and nothing of what they do not. */
function given(flags: MigrateFlagValues): Partial<MigrationConfig> {
  const target = adapterOptions(flags['target-option'])
  const source = { ...adapterOptions(flags['source-option']), ...defined({ flags: flags.flags, client: flags.client }) }
  if (flags['allow-eviction']) target['allow-eviction'] = 'true'
  const filter = {
    ...(flags.filter === undefined ? {} : { include: flags.filter }),
    ...(flags.exclude === undefined ? {} : { exclude: flags.exclude }),
    ...(flags.type === undefined ? {} : { types: flags.type as 'string'[] }),
    ...(flags.db === undefined ? {} : { dbs: flags.db }),
    ...(flags.expiry === undefined ? {} : { expiry: flags.expiry as 'any' }),
    ...defined({
      includeRegex: flags['filter-regex'],
      excludeRegex: flags['exclude-regex'],
      minSize: bytes('min-size', flags['min-size']),
      maxSize: bytes('max-size', flags['max-size']),
      minTtlMs: milliseconds('min-ttl', flags['min-ttl']),
      maxTtlMs: milliseconds('max-ttl', flags['max-ttl']),
      slots: flags.slots,
    }),
  }
  const script = defined({
    memory: flags['script-memory'],
    timeout: flags['script-timeout'],
    workers: flags['script-workers'],
  })
  const all = {
    source: flags.source,
    target: flags.target,
    mode: flags.mode as 'live' | undefined,
    id: flags.id,
    transform: flags.transform,
    transformScript: flags['transform-script'],
    scriptOptions: Object.keys(script).length > 0 ? script : undefined,
    onTransformError: flags['on-transform-error'] as 'fail' | undefined,
    errorsFile: flags['errors-file'],
    onCollision: flags['on-collision'] as 'fail' | undefined,
    keyTemplate: flags['transform-keys'],
    dbMap: dbMap(flags['db-map']),
    unsupported: flags.unsupported as 'fail' | undefined,
    parallel: flags.parallel,
    batchSize: flags['batch-size'],
    onConflict: flags['on-conflict'] as 'replace' | undefined,
    deleteExtra: flags['delete-extra'] || undefined,
    capture: flags.capture as 'auto' | undefined,
    apply: flags.apply as 'auto' | undefined,
    verify: flags.verify || undefined,
    strict: flags.strict || undefined,
    ttl: ttlRule(flags.ttl),
    ttlFactor: factor(flags['ttl-factor']),
    exit: flags.exit || undefined,
    untilLag: flags['until-lag'],
    spoolLimit: bytes('spool-limit', flags['spool-limit']),
    syncTimeoutMs: milliseconds('sync-timeout', flags['sync-timeout']),
    cutoverMaxLag: flags['cutover-max-lag'],
    intervalMs: milliseconds('interval', flags.interval),
    schedule: flags.schedule,
    once: flags.once || undefined,
    undo: flags.undo,
    undoLimit: bytes('undo-limit', flags['undo-limit']),
    autoRollback: flags['auto-rollback'] || undefined,
    rollbackOnErrorRate: share('rollback-on-error-rate', flags['rollback-on-error-rate']),
    maxRate: flags['max-rate'],
    maxSourceCpu: flags['max-source-cpu'],
    maxSourceLatencyMs: milliseconds('max-source-latency', flags['max-source-latency']),
    sourceOptions: Object.keys(source).length > 0 ? source : undefined,
    targetOptions: Object.keys(target).length > 0 ? target : undefined,
    filter: Object.keys(filter).length > 0 ? filter : undefined,
  }
  return defined(all) as Partial<MigrationConfig>
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
