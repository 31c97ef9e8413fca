import { keepSecret, MigrateError } from '@ferrite-migrate/contracts'
import * as v from 'valibot'

const count = (least: number, most: number, fallback: number) =>
  v.optional(v.pipe(v.number(), v.integer(), v.minValue(least), v.maxValue(most)), fallback)
const text = v.pipe(v.string(), v.minLength(1))
const options = v.optional(v.record(v.string(), v.union([v.string(), v.number(), v.boolean()])), {})

/** Values above this come in slices, so their size is not known when they are looked at. */
const MOST_SIZE = 4 * 1024 * 1024

/** Which keys a migration takes. Globs are Redis's, on bytes. */
export const filterSchema = v.strictObject({
  include: v.optional(v.array(text), []),
  exclude: v.optional(v.array(text), []),
  types: v.optional(v.array(v.picklist(['string', 'list', 'set', 'zset', 'hash', 'stream', 'module'])), []),
  dbs: v.optional(v.array(v.pipe(v.number(), v.integer(), v.minValue(0), v.maxValue(65535))), []),
  /** Keys with an expiry only, or those without. */
  expiry: v.optional(v.picklist(['any', 'expiring', 'persistent']), 'any'),
  /** Regular expressions for names; in linear time, so without look-around and back references. */
  includeRegex: v.optional(v.array(text), []),
  excludeRegex: v.optional(v.array(text), []),
  /** Bytes of all strings of the value. */
  minSize: v.optional(v.pipe(v.number(), v.integer(), v.minValue(0), v.maxValue(MOST_SIZE))),
  maxSize: v.optional(v.pipe(v.number(), v.integer(), v.minValue(0), v.maxValue(MOST_SIZE))),
  /** Time left to live, ms; keys without an expiry live for ever. */
  minTtlMs: v.optional(v.pipe(v.number(), v.minValue(0))),
  maxTtlMs: v.optional(v.pipe(v.number(), v.minValue(0))),
  /** Hash slots of a cluster, such as 5 or 0-5460. */
  slots: v.optional(
    v.array(v.pipe(v.string(), v.regex(/^\d{1,5}(-\d{1,5})?$/, 'a slot or a range such as 0-5460'))),
    [],
  ),
})

/** Who is told what happens. A message that cannot be delivered never stops a migration. */
export const notificationsSchema = v.strictObject({
  /** URL of a Slack webhook. */
  slack: v.optional(text),
  /** Address, or several with commas; needs `smtp`. */
  email: v.optional(text),
  /** URL that gets every event as JSON. */
  webhook: v.optional(text),
  smtp: v.optional(
    v.strictObject({
      host: v.optional(text, 'localhost'),
      port: v.optional(v.pipe(v.number(), v.integer(), v.minValue(1), v.maxValue(65535)), 25),
      secure: v.optional(v.boolean(), false),
      user: v.optional(text),
      password: v.optional(text),
      from: v.optional(text),
    }),
    {},
  ),
  /** Ways that are switched off, with the reason, such as "Slack: the environment variable SLACK_WEBHOOK is not set". */
  off: v.optional(v.array(text), []),
  /** Keys behind that count as an alarm while following; 0 = none. */
  lagAlarm: count(0, 2 ** 40, 0),
})

export const configSchema = v.strictObject({
  source: text,
  target: text,
  mode: v.optional(v.picklist(['live', 'snapshot', 'incremental']), 'live'),
  /** Chosen by the tool when absent. */
  id: v.optional(v.pipe(v.string(), v.regex(/^[A-Za-z0-9_-]{1,64}$/, 'letters, digits, _ and - only'))),
  /** Go on with the interrupted migration of this id; an error when there is none. */
  resume: v.optional(v.boolean(), false),
  /** File with rules for names and values. */
  transform: v.optional(text),
  /** File with functions for names and values: .js, .mjs, .ts or .py. */
  transformScript: v.optional(text),
  /** Limits of the script, as options of its adapter: memory, timeout, workers. */
  scriptOptions: options,
  /** What becomes of a key whose value cannot be transformed. */
  onTransformError: v.optional(v.picklist(['fail', 'skip', 'pass']), 'fail'),
  /** Where such keys are listed, one JSON object a line. */
  errorsFile: v.optional(text, 'errors.ndjson'),
  /** What becomes of two keys that get one name at the target. */
  onCollision: v.optional(v.picklist(['fail', 'last']), 'fail'),
  /** Names of keys at the target; `{key}` stands for the name at the source. */
  keyTemplate: v.optional(text, '{key}'),
  /** Databases that become others: source number to target number. */
  dbMap: v.optional(
    v.record(
      v.pipe(v.string(), v.regex(/^\d{1,5}$/)),
      v.pipe(v.number(), v.integer(), v.minValue(0), v.maxValue(65535)),
    ),
    {},
  ),
  /** What the target cannot hold as it is: refuse the run, leave such keys out, or carry what can be carried. */
  unsupported: v.optional(v.picklist(['fail', 'skip', 'degrade']), 'degrade'),
  /** Lanes of the initial copy; what the target advises when absent, else 4. */
  parallel: v.optional(v.pipe(v.number(), v.integer(), v.minValue(1), v.maxValue(64))),
  batchSize: count(1, 100_000, 1000),
  /** Packages whose plugins may be used; any when absent. */
  allowPlugins: v.optional(v.array(text)),
  /** Processes of this machine that run the shards of the source; 0 = this one does. */
  workers: count(0, 64, 0),
  /** Address of the queue whose workers run the shards, on as many machines as there are; absent = this process does. */
  queue: v.optional(text),
  filter: v.optional(filterSchema, {}),
  onConflict: v.optional(v.picklist(['replace', 'skip', 'fail']), 'replace'),
  /** Delete target keys that the source does not have, whoever wrote them. */
  deleteExtra: v.optional(v.boolean(), false),
  capture: v.optional(v.picklist(['auto', 'psync', 'notifications', 'polling']), 'auto'),
  apply: v.optional(v.picklist(['auto', 'replay', 'state']), 'auto'),
  verify: v.optional(v.boolean(), false),
  /** A verification counts keys that only the target has, also those that were there before. */
  strict: v.optional(v.boolean(), false),
  /** What becomes of the ends of keys: as they are, none, or (ms) so long from now; and how much longer what is left becomes. */
  ttl: v.optional(
    v.union([
      v.picklist(['keep', 'none']),
      v.pipe(v.number(), v.integer(), v.minValue(1), v.maxValue(10 * 366 * 86_400_000)),
    ]),
    'keep',
  ),
  ttlFactor: v.optional(v.pipe(v.number(), v.minValue(0.000_001), v.maxValue(1_000_000)), 1),
  /** Live mode ends when at most so many keys are behind (with `exit`). */
  untilLag: v.optional(v.pipe(v.number(), v.integer(), v.minValue(0))),
  exit: v.optional(v.boolean(), false),
  /** Bytes of the source's stream kept on disk while the target is behind. */
  spoolLimit: count(1 << 20, 2 ** 50, 16 * 1024 ** 3),
  /** How long a lost server is tried again, ms. */
  syncTimeoutMs: count(0, 7 * 86_400_000, 3_600_000),
  /** A cutover waits until at most so many keys are behind. */
  cutoverMaxLag: count(0, 2 ** 40, 100),
  /** Incremental mode: time between two passes, ms. */
  intervalMs: v.optional(v.pipe(v.number(), v.integer(), v.minValue(1000), v.maxValue(366 * 86_400_000))),
  /** Incremental mode: a cron expression instead of an interval. */
  schedule: v.optional(text),
  /** Incremental mode: one pass, then end. */
  once: v.optional(v.boolean(), false),
  /** Keep what the target had before, so that a rollback can give it back. */
  undo: v.optional(v.boolean(), true),
  /** Where that is kept: on the disk of this machine, or by the queue, for all machines. */
  journal: v.optional(v.picklist(['local', 'shared']), 'local'),
  /** Bytes that the undo journal may take. */
  undoLimit: count(1 << 20, 2 ** 50, 16 * 1024 ** 3),
  /** Roll back by itself when the run fails or too many writes do. */
  autoRollback: v.optional(v.boolean(), false),
  /** Share of failed writes over the last ten seconds that ends a run with `autoRollback`. */
  rollbackOnErrorRate: v.optional(v.pipe(v.number(), v.minValue(0), v.maxValue(1))),
  /** Records written a second at most, 0 = as fast as the target takes them. */
  maxRate: count(0, 2 ** 40, 0),
  /** Percent of one processor that the source may be busy before reading slows, 0 = not watched. */
  maxSourceCpu: count(0, 100, 0),
  /** Milliseconds that the source may take to answer before reading slows, 0 = not watched. */
  maxSourceLatencyMs: count(0, 60_000, 0),
  notifications: v.optional(notificationsSchema, {}),
  sourceOptions: options,
  targetOptions: options,
  stateDir: v.optional(text),
  /** The file that this comes from; a run that goes on finds its notifications there again. */
  configFile: v.optional(text),
})

/** What `new Migration` takes. */
export type MigrationConfig = v.InferInput<typeof configSchema>
/** The same with every default filled in. */
export type ResolvedConfig = v.InferOutput<typeof configSchema>
export type NotificationsConfig = v.InferOutput<typeof notificationsSchema>
/** Which keys are taken; of every field that is empty or absent all. */
export interface FilterConfig {
  /** Patterns of names, as KEYS takes them. */
  readonly include: string[]
  readonly exclude: string[]
  readonly types: ('string' | 'list' | 'set' | 'zset' | 'hash' | 'stream' | 'module')[]
  readonly dbs: number[]
  readonly expiry: 'any' | 'expiring' | 'persistent'
  readonly includeRegex: string[]
  readonly excludeRegex: string[]
  /** Bytes of all strings of the value. */
  readonly minSize?: number | undefined
  readonly maxSize?: number | undefined
  /** Time left to live, ms. */
  readonly minTtlMs?: number | undefined
  readonly maxTtlMs?: number | undefined
  /** Hash slots of a cluster, such as 5 or 0-5460. */
  readonly slots: string[]
}

/**
 * Checks a configuration.
 * @throws MigrateError FM_CONFIG_INVALID naming every wrong field
 */
export function resolveConfig(config: MigrationConfig): ResolvedConfig {
  const { slack, webhook, smtp } = config.notifications ?? {}
  for (const secret of [slack, webhook, smtp?.password]) if (typeof secret === 'string') keepSecret(secret)
  const result = v.safeParse(configSchema, config)
  if (result.success) return result.output
  // What was received may be a password in the wrong place: it is not repeated.
  const problems = result.issues.map(
    (issue) => `${v.getDotPath(issue) ?? 'configuration'}: ${issue.message.replace(/ but received [\s\S]*$/, '')}`,
  )
  throw new MigrateError(
    'FM_CONFIG_INVALID',
    problems.join('; '),
    'Correct the fields named; docs/configuration.md lists all of them.',
  )
}
