import { Flags, type Interfaces } from '@oclif/core'
import { yesFlag } from './confirm.js'
import { grouped } from './flag-groups.js'
import { measuringFlags } from './measuring-flags.js'

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
  workers: Flags.integer({
    description: 'Processes that run the shards of the source [default: 0, this one does]',
    helpValue: '<N>',
    min: 0,
    max: 64,
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
  journal: Flags.string({
    description: 'With --queue: where that is kept; shared = by the queue, for all machines',
    options: ['local', 'shared'],
  }),
  'undo-limit': Flags.string({ description: 'Space for that [default: 16gb]', helpValue: '<SIZE>' }),
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
  ...measuringFlags,
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
] as const

/** The flags of commands that import a file. */
export const importFlags = Object.fromEntries(
  Object.entries(migrateFlags).filter(([name]) => !LIVE_ONLY.includes(name as 'source')),
) as Omit<typeof migrateFlags, (typeof LIVE_ONLY)[number]>

export type MigrateFlagValues = Partial<Interfaces.InferredFlags<typeof migrateFlags>>
