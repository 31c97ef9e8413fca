import { Registry } from '@ferrite-migrate/core'

/** The adapters that come with this package. */
export function defaultRegistry(): Registry {
  return Registry.fromPackages(
    [
      '@ferrite-migrate/source-redis',
      '@ferrite-migrate/source-rdb',
      '@ferrite-migrate/source-aof',
      '@ferrite-migrate/source-memcached',
      '@ferrite-migrate/source-jsoncsv',
      '@ferrite-migrate/target-ferrite',
      '@ferrite-migrate/transform-jq',
      '@ferrite-migrate/transform-script',
    ],
    import.meta.url,
  )
}
