import { MigrateError, parseOption } from '@ferrite-migrate/contracts'
import * as v from 'valibot'
import type { MigrationConfig } from './config.js'
import { endsSchema, type FileEnd, fileSchema, type MigrationFile } from './file-schema.js'
import { parseYaml, readText, wrongFields, type YamlFile, type YamlKind } from './yaml-file.js'

const KIND: YamlKind = {
  noun: 'configuration',
  code: 'FM_CONFIG_INVALID',
  hint: 'docs/configuration.md lists all fields; ferrite-migrate config validate checks a file without running it.',
  lenient: 'notifications',
}

/**
 * Reads migration.yaml. `${VAR}` and `${VAR:-default}` in values come from the environment.
 * @throws MigrateError FM_FILE_UNREADABLE; FM_CONFIG_INVALID naming line, column and field of everything that is wrong
 */
export function readConfigFile(path: string, environment: NodeJS.ProcessEnv = process.env): MigrationConfig {
  return parseConfig(readText(path, KIND.noun), path, environment)
}

/** The same for a text; `name` is only for error messages. */
export function parseConfig(text: string, name: string, environment: NodeJS.ProcessEnv = process.env): MigrationConfig {
  const file = parseYaml(text, name, fileSchema, KIND, environment)
  return toConfig(file.value, off(file))
}

/**
 * The same for what a program gives: the layout of the file as an object. Nothing comes from the environment.
 * @throws MigrateError FM_CONFIG_INVALID naming the fields that are wrong
 */
export function configFrom(value: unknown): MigrationConfig {
  return toConfig(checked(fileSchema, value), new Map())
}

/**
 * Source and target with what belongs to them, as far as they are given.
 * @throws MigrateError FM_CONFIG_INVALID
 */
export function endsFrom(value: unknown): Partial<MigrationConfig> {
  const { source, target } = checked(endsSchema, value)
  const from = source === undefined ? null : toEnd(source, 'source')
  const to = target === undefined ? null : toEnd(target, 'target')
  return {
    ...(from === null ? {} : { source: from.url, sourceOptions: from.options }),
    ...(to === null ? {} : { target: to.url, targetOptions: to.options }),
  }
}

function checked<S extends v.GenericSchema>(schema: S, value: unknown): v.InferOutput<S> {
  const result = v.safeParse(schema, value)
  if (result.success) return result.output
  const wrong = [...new Set(result.issues.flatMap(wrongFields))].slice(0, 20)
  throw new MigrateError(
    KIND.code,
    wrong.map((text) => text.replace(/^the file:/, 'the configuration:')).join('\n'),
    'docs/configuration.md lists all fields.',
  )
}

function bytes(value: string | number | undefined, name: string): number | undefined {
  return value === undefined
    ? undefined
    : (parseOption({ name, type: 'bytes', description: 'Give a size such as 16gb.' }, value) as number)
}

function milliseconds(value: string | number | undefined, name: string): number | undefined {
  return value === undefined
    ? undefined
    : (parseOption(
        { name, type: 'duration', description: 'Give seconds, or a duration such as 30m.' },
        value,
      ) as number)
}

interface End {
  readonly url: string
  readonly options: Record<string, string | number | boolean>
}

function toEnd(given: FileEnd, field: string): End {
  if (typeof given === 'string') return { url: given, options: {} }
  const { type = 'redis', url, host, path, username, password, tls, options, sentinels, nodes, primary } = given
  if ([url, host, path, sentinels, nodes].every((one) => one === undefined))
    throw new MigrateError(
      'FM_CONFIG_INVALID',
      `${field}: needs host, path, nodes, sentinels or url`,
      'Say where it is.',
    )
  if (nodes !== undefined && [host, path, sentinels].some((one) => one !== undefined))
    throw new MigrateError(
      'FM_CONFIG_INVALID',
      `${field}: nodes stand in place of host, path and sentinels`,
      'Say either where a server is, or some nodes of its cluster.',
    )
  if (sentinels !== undefined && (primary === undefined || host !== undefined || path !== undefined))
    throw new MigrateError(
      'FM_CONFIG_INVALID',
      `${field}: sentinels need primary, and neither host nor path`,
      'Say what the sentinels call the primary; where it is, they tell.',
    )
  const secure = tls !== undefined && tls !== false
  const files = typeof tls === 'object' ? tls : {}
  const named = { ca: files.ca, cert: files.cert, key: files.key, servername: files.servername, verify: files.verify }
  const { scheme, place } = placeOf(given, type)
  return {
    url: url ?? `${scheme}://${place}`,
    options: {
      ...options,
      ...(username === undefined ? {} : { username }),
      ...(password === undefined || password === '' ? {} : { password }),
      ...(given.sentinel_username === undefined ? {} : { 'sentinel-username': given.sentinel_username }),
      ...(given.sentinel_password ? { 'sentinel-password': given.sentinel_password } : {}),
      ...(given.node_map === undefined
        ? {}
        : {
            'node-map': Object.entries(given.node_map)
              .map(([announced, reachable]) => `${announced}=${reachable}`)
              .join(','),
          }),
      ...(secure ? { tls: true } : {}),
      ...Object.fromEntries(
        Object.entries(named).flatMap(([name, value]) => (value === undefined ? [] : [[`tls-${name}`, value]])),
      ),
    },
  }
}

type GivenEnd = Exclude<FileEnd, string>

function placeOf(
  { host, port, db, path, sentinels, nodes, primary }: GivenEnd,
  type: string,
): { scheme: string; place: string } {
  const redis = type === 'redis' || type === 'ferrite'
  const behind = db === undefined ? '' : `/${db}`
  if (sentinels !== undefined)
    return {
      scheme: type.endsWith('sentinel') ? type : `${type}+sentinel`,
      place: `${sentinels.join(',')}/${encodeURIComponent(primary ?? '')}${behind}`,
    }
  if (nodes !== undefined)
    return { scheme: type.endsWith('cluster') ? type : `${type}+cluster`, place: `${nodes.join(',')}${behind}` }
  if (path !== undefined) return { scheme: redis ? 'redis+unix' : type, place: path }
  return { scheme: type, place: `${host?.includes(':') ? `[${host}]` : host}:${port ?? 6379}${behind}` }
}

/** Fields that are not given stay out, so that defaults and flags can fill them. */
function defined<T extends object>(fields: T): { [K in keyof T]?: Exclude<T[K], undefined> } {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined)) as {
    [K in keyof T]?: Exclude<T[K], undefined>
  }
}

const WAYS: Readonly<Record<string, string>> = { slack: 'Slack', email: 'e-mail', smtp: 'e-mail', webhook: 'webhook' }

/** A way to notify whose secret is not in the environment is switched off: nobody stops a migration for that. */
function off({ value, unset }: YamlFile<MigrationFile>): ReadonlyMap<string, string> {
  const ways = new Map<string, string>()
  for (const { path, name } of unset) ways.set(WAYS[path[0]] ?? path[0], `the environment variable ${name} is not set`)
  // An empty variable reads as an empty value.
  for (const way of ['slack', 'email', 'webhook'] as const)
    if (value.notifications?.[way] === '' && !ways.has(WAYS[way])) ways.set(WAYS[way], 'its value is empty')
  return ways
}

function toConfig(file: MigrationFile, switchedOff: ReadonlyMap<string, string>): MigrationConfig {
  const source = toEnd(file.source, 'source')
  const target = toEnd(file.target, 'target')
  const { options = {}, notifications = {} } = file
  const script = defined({
    memory: options.script_memory,
    timeout: options.script_timeout,
    workers: options.script_workers,
  })
  return {
    source: source.url,
    target: target.url,
    sourceOptions: source.options,
    targetOptions: options.allow_eviction ? { ...target.options, 'allow-eviction': true } : target.options,
    ...defined({
      id: file.id,
      mode: file.mode,
      allowPlugins: file.plugins?.allow,
      parallel: options.parallel_workers,
      workers: options.worker_processes,
      batchSize: options.batch_size,
      syncTimeoutMs: milliseconds(options.sync_timeout, 'options.sync_timeout'),
      cutoverMaxLag: options.cutover_max_lag,
      transform: options.transform,
      transformScript: options.transform_script,
      scriptOptions: Object.keys(script).length > 0 ? script : undefined,
      onTransformError: options.on_transform_error,
      errorsFile: options.errors_file,
      onCollision: options.on_collision,
      keyTemplate: options.transform_keys,
      dbMap: options.db_map,
      unsupported: options.unsupported,
      onConflict: options.on_conflict,
      deleteExtra: options.delete_extra,
      capture: options.capture,
      apply: options.apply,
      verify: options.verify,
      strict: options.strict,
      ttl:
        options.ttl === undefined || options.ttl === 'keep' || options.ttl === 'none'
          ? options.ttl
          : milliseconds(options.ttl, 'options.ttl'),
      ttlFactor: options.ttl_factor,
      exit: options.exit,
      untilLag: options.until_lag,
      spoolLimit: bytes(options.spool_limit, 'options.spool_limit'),
      maxRate: options.max_rate,
      maxSourceCpu: options.max_source_cpu,
      maxSourceLatencyMs: milliseconds(options.max_source_latency, 'options.max_source_latency'),
      undo: options.undo,
      journal: options.journal,
      undoLimit: bytes(options.undo_limit, 'options.undo_limit'),
      autoRollback: options.auto_rollback,
      rollbackOnErrorRate: options.rollback_on_error_rate,
      intervalMs: milliseconds(options.interval, 'options.interval'),
      schedule: options.schedule,
      once: options.once,
      stateDir: options.state_dir,
      filter: file.filters && filterOf(file.filters),
    }),
    notifications: defined({
      slack: notifications.slack || undefined,
      email: switchedOff.has('e-mail') ? undefined : notifications.email || undefined,
      webhook: notifications.webhook || undefined,
      off: switchedOff.size === 0 ? undefined : [...switchedOff].map(([way, why]) => `${way}: ${why}`),
      lagAlarm: notifications.lag_alarm,
      smtp:
        notifications.smtp && defined({ ...notifications.smtp, password: notifications.smtp.password || undefined }),
    }),
  }
}

function filterOf(filters: NonNullable<MigrationFile['filters']>): NonNullable<MigrationConfig['filter']> {
  return defined({
    include: filters.include,
    exclude: filters.exclude,
    types: filters.types,
    dbs: filters.dbs,
    expiry: filters.expiry,
    includeRegex: filters.include_regex,
    excludeRegex: filters.exclude_regex,
    minSize: bytes(filters.min_size, 'filters.min_size'),
    maxSize: bytes(filters.max_size, 'filters.max_size'),
    minTtlMs: milliseconds(filters.min_ttl, 'filters.min_ttl'),
    maxTtlMs: milliseconds(filters.max_ttl, 'filters.max_ttl'),
    slots: filters.slots?.map(String),
  })
}
