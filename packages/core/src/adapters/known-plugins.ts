import { MigrateError } from '@ferrite-migrate/contracts'

/** A plugin of this project: what it is needed for, and about how large its installation is. */
export interface KnownPlugin {
  readonly name: string
  readonly source?: readonly string[]
  readonly target?: readonly string[]
  readonly runner?: readonly string[]
  readonly transforms?: readonly string[]
  /** Names of commands as they are typed. */
  readonly commands?: readonly string[]
  /** Flags of its source, without dashes. */
  readonly flags?: readonly string[]
  readonly megabytes: number
}

const PRODUCTS = ['redis', 'rediss', 'valkey', 'valkeys', 'ferrite', 'ferrites']
const SERVERS = [
  ...PRODUCTS.flatMap((name) => [name, ...['cluster', 'sentinel'].flatMap((of) => [`${name}-${of}`, `${name}+${of}`])]),
  ...['unix', 'redis+unix', 'valkey+unix'],
]

/** What may be missing. The manifests of the packages say the same of those that are installed. */
export const KNOWN_PLUGINS: readonly KnownPlugin[] = [
  { name: '@ferrite-migrate/source-redis', source: SERVERS, megabytes: 4 },
  { name: '@ferrite-migrate/target-ferrite', target: SERVERS, megabytes: 4 },
  {
    name: '@ferrite-migrate/source-rdb',
    source: ['rdb'],
    commands: ['import-rdb', 'analyze-rdb'],
    megabytes: 2,
  },
  { name: '@ferrite-migrate/source-aof', source: ['aof'], commands: ['import-aof', 'analyze-aof'], megabytes: 4 },
  {
    name: '@ferrite-migrate/source-memcached',
    source: ['memcached'],
    flags: ['memcached-flags', 'memcached-client'],
    megabytes: 2,
  },
  {
    name: '@ferrite-migrate/source-jsoncsv',
    source: ['json', 'ndjson', 'csv', 'tsv'],
    commands: ['import'],
    megabytes: 4,
  },
  { name: '@ferrite-migrate/export', commands: ['export'], megabytes: 2 },
  { name: '@ferrite-migrate/serve', commands: ['rpc', 'serve', 'dashboard'], megabytes: 16 },
  { name: '@ferrite-migrate/otlp', megabytes: 22 },
  {
    name: '@ferrite-migrate/runner-bullmq',
    runner: ['redis', 'rediss', 'valkey', 'valkeys'],
    commands: ['worker'],
    megabytes: 4,
  },
  { name: '@ferrite-migrate/verify-hash', commands: ['verify-hash'], megabytes: 4 },
  { name: '@ferrite-migrate/benchmark', commands: ['benchmark'], megabytes: 5 },
  { name: '@ferrite-migrate/transform-jq', transforms: ['jq'], megabytes: 5 },
  { name: '@ferrite-migrate/transform-script', transforms: ['script'], commands: ['transform test'], megabytes: 10 },
  { name: '@ferrite-migrate/transform-python', transforms: ['python'], megabytes: 14 },
]

/** Something is asked for that a plugin brings which is not installed. */
export class MissingPluginError extends MigrateError {
  readonly plugin: KnownPlugin

  /** Errors are recognised across copies of the package by what they have; these have a plugin. */
  static override [Symbol.hasInstance](value: unknown): boolean {
    return value instanceof MigrateError && 'plugin' in value
  }

  /** @param what it is needed for, as the beginning of a sentence */
  constructor(what: string, plugin: KnownPlugin) {
    super(
      'FM_PLUGIN_MISSING',
      `${what} needs the plugin ${plugin.name}, which is not installed`,
      `Install it: ferrite-migrate plugins install ${plugin.name} (about ${plugin.megabytes} MB).`,
    )
    this.plugin = plugin
  }
}
