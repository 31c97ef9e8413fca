import * as v from 'valibot'

const text = v.pipe(v.string(), v.minLength(1))
const whole = (least: number, most: number) => v.pipe(v.number(), v.integer(), v.minValue(least), v.maxValue(most))
const size = v.union([
  whole(0, 2 ** 50),
  v.pipe(v.string(), v.regex(/^\d{1,12}\s*(b|k|kb|kib|m|mb|mib|g|gb|gib|t|tb|tib)?$/i, 'a size such as 16gb')),
])
const duration = v.union([
  v.pipe(v.number(), v.minValue(0), v.maxValue(366 * 86_400)),
  v.pipe(v.string(), v.regex(/^\d{1,10}(\.\d+)?\s*(ms|s|m|h|d)?$/i, 'seconds, or a duration such as 30m')),
])
const flag = v.boolean()
const optional = v.optional

const end = v.union([
  text,
  v.strictObject({
    /** The kind of server or file: redis, ferrite, memcached, rdb, aof, json, csv, or a plugin's scheme. */
    type: optional(v.pipe(v.string(), v.regex(/^[a-z][a-z0-9+.-]*$/, 'a scheme such as redis'))),
    url: optional(text),
    host: optional(text),
    port: optional(whole(1, 65535)),
    db: optional(whole(0, 65535)),
    /** In place of a host: sentinels as host:port, and what they call the primary. */
    sentinels: optional(v.pipe(v.array(text), v.minLength(1))),
    primary: optional(text),
    /** In place of a host: nodes of a cluster as host:port. */
    nodes: optional(v.pipe(v.array(text), v.minLength(1))),
    /** Credentials of the sentinels. */
    sentinel_username: optional(text),
    sentinel_password: optional(v.string()),
    /** Where servers are reached that announce another address: announced host:port to reachable host:port. */
    node_map: optional(v.record(v.string(), text)),
    /** A file, or a Unix socket. */
    path: optional(text),
    username: optional(text),
    password: optional(v.string()),
    tls: optional(
      v.union([
        flag,
        v.strictObject({
          ca: optional(text),
          cert: optional(text),
          key: optional(text),
          servername: optional(text),
          verify: optional(flag),
        }),
      ]),
    ),
    /** Options of the adapter by name. */
    options: optional(v.record(v.string(), v.union([v.string(), v.number(), v.boolean()]))),
  }),
])

/** Of that layout the two ends, for what is not stored of a migration: both may be left out. */
export const endsSchema = v.strictObject({ source: optional(end), target: optional(end) })

/** The layout of migration.yaml; names as on the product page, everything else that flags can say beside them. */
export const fileSchema = v.strictObject({
  id: optional(v.pipe(v.string(), v.regex(/^[A-Za-z0-9_-]{1,64}$/, 'letters, digits, _ and - only'))),
  mode: optional(v.picklist(['live', 'snapshot', 'incremental'])),
  /** Which plugins may be used: names of packages. */
  plugins: optional(v.strictObject({ allow: v.array(text) })),
  source: end,
  target: end,
  options: optional(
    v.strictObject({
      parallel_workers: optional(whole(1, 64)),
      worker_processes: optional(whole(0, 64)),
      batch_size: optional(whole(1, 100_000)),
      sync_timeout: optional(duration),
      cutover_max_lag: optional(whole(0, 2 ** 40)),
      transform: optional(text),
      transform_script: optional(text),
      script_memory: optional(size),
      script_timeout: optional(duration),
      script_workers: optional(whole(1, 64)),
      on_transform_error: optional(v.picklist(['fail', 'skip', 'pass'])),
      errors_file: optional(text),
      on_collision: optional(v.picklist(['fail', 'last'])),
      transform_keys: optional(text),
      db_map: optional(v.record(v.string(), whole(0, 65535))),
      unsupported: optional(v.picklist(['fail', 'skip', 'degrade'])),
      on_conflict: optional(v.picklist(['replace', 'skip', 'fail'])),
      delete_extra: optional(flag),
      capture: optional(v.picklist(['auto', 'psync', 'notifications', 'polling'])),
      apply: optional(v.picklist(['auto', 'replay', 'state'])),
      allow_eviction: optional(flag),
      verify: optional(flag),
      strict: optional(flag),
      ttl: optional(v.union([v.picklist(['keep', 'none']), duration])),
      ttl_factor: optional(v.pipe(v.number(), v.minValue(0.000001), v.maxValue(1000000))),
      exit: optional(flag),
      until_lag: optional(whole(0, 2 ** 40)),
      spool_limit: optional(size),
      max_rate: optional(whole(0, 2 ** 40)),
      max_source_cpu: optional(whole(0, 100)),
      max_source_latency: optional(duration),
      undo: optional(flag),
      journal: optional(v.picklist(['local', 'shared'])),
      undo_limit: optional(size),
      auto_rollback: optional(flag),
      rollback_on_error_rate: optional(v.pipe(v.number(), v.minValue(0), v.maxValue(1))),
      interval: optional(duration),
      schedule: optional(text),
      once: optional(flag),
      state_dir: optional(text),
    }),
  ),
  filters: optional(
    v.strictObject({
      include: optional(v.array(text)),
      exclude: optional(v.array(text)),
      types: optional(v.array(v.picklist(['string', 'list', 'set', 'zset', 'hash', 'stream', 'module']))),
      dbs: optional(v.array(whole(0, 65535))),
      expiry: optional(v.picklist(['any', 'expiring', 'persistent'])),
      include_regex: optional(v.array(text)),
      exclude_regex: optional(v.array(text)),
      min_size: optional(size),
      max_size: optional(size),
      min_ttl: optional(duration),
      max_ttl: optional(duration),
      slots: optional(
        v.array(v.union([whole(0, 16383), v.pipe(v.string(), v.regex(/^\d{1,5}-\d{1,5}$/, 'a range such as 0-5460'))])),
      ),
    }),
  ),
  notifications: optional(
    v.strictObject({
      slack: optional(v.string()),
      email: optional(v.string()),
      webhook: optional(v.string()),
      lag_alarm: optional(whole(0, 2 ** 40)),
      smtp: optional(
        v.strictObject({
          host: optional(text),
          port: optional(whole(1, 65535)),
          secure: optional(flag),
          user: optional(text),
          password: optional(v.string()),
          from: optional(text),
        }),
      ),
    }),
  ),
})

export type MigrationFile = v.InferOutput<typeof fileSchema>
export type FileEnd = v.InferOutput<typeof end>
