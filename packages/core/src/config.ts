import { MigrateError } from '@ferrite-migrate/contracts'
import * as v from 'valibot'

const count = (least: number, most: number, fallback: number) =>
  v.optional(v.pipe(v.number(), v.integer(), v.minValue(least), v.maxValue(most)), fallback)
const text = v.pipe(v.string(), v.minLength(1))
const options = v.optional(v.record(v.string(), v.union([v.string(), v.number(), v.boolean()])), {})

/** Which keys a migration takes. Globs are Redis's, on bytes. */
export const filterSchema = v.strictObject({
  include: v.optional(v.array(text), []),
  exclude: v.optional(v.array(text), []),
  types: v.optional(v.array(v.picklist(['string', 'list', 'set', 'zset', 'hash', 'stream', 'module'])), []),
  dbs: v.optional(v.array(v.pipe(v.number(), v.integer(), v.minValue(0), v.maxValue(65535))), []),
  /** Keys with an expiry only, or those without. */
  expiry: v.optional(v.picklist(['any', 'expiring', 'persistent']), 'any'),
})

export const configSchema = v.strictObject({
  source: text,
  target: text,
  mode: v.optional(v.picklist(['live', 'snapshot']), 'live'),
  /** Chosen by the tool when absent. */
  id: v.optional(v.pipe(v.string(), v.regex(/^[A-Za-z0-9_-]{1,64}$/, 'letters, digits, _ and - only'))),
  /** Lanes of the initial copy; what the target advises when absent, else 4. */
  parallel: v.optional(v.pipe(v.number(), v.integer(), v.minValue(1), v.maxValue(64))),
  batchSize: count(1, 100_000, 1000),
  filter: v.optional(filterSchema, {}),
  onConflict: v.optional(v.picklist(['replace', 'skip', 'fail']), 'replace'),
  capture: v.optional(v.picklist(['auto', 'psync', 'notifications']), 'auto'),
  apply: v.optional(v.picklist(['auto', 'replay', 'state']), 'auto'),
  verify: v.optional(v.boolean(), false),
  /** Live mode ends when at most so many keys are behind (with `exit`). */
  untilLag: v.optional(v.pipe(v.number(), v.integer(), v.minValue(0))),
  exit: v.optional(v.boolean(), false),
  /** Bytes of the source's stream kept on disk while the target is behind. */
  spoolLimit: count(1 << 20, 2 ** 50, 16 * 1024 ** 3),
  /** How long a lost server is tried again, ms. */
  syncTimeoutMs: count(0, 7 * 86_400_000, 3_600_000),
  sourceOptions: options,
  targetOptions: options,
  stateDir: v.optional(text),
})

/** What `new Migration` takes. */
export type MigrationConfig = v.InferInput<typeof configSchema>
/** The same with every default filled in. */
export type ResolvedConfig = v.InferOutput<typeof configSchema>
export type FilterConfig = v.InferOutput<typeof filterSchema>

/**
 * Checks a configuration.
 * @throws MigrateError FM_CONFIG_INVALID naming every wrong field
 */
export function resolveConfig(config: MigrationConfig): ResolvedConfig {
  const result = v.safeParse(configSchema, config)
  if (result.success) return result.output
  const problems = result.issues.map((issue) => `${v.getDotPath(issue) ?? 'configuration'}: ${issue.message}`)
  throw new MigrateError(
    'FM_CONFIG_INVALID',
    problems.join('; '),
    'Correct the fields named; docs/configuration.md lists all of them.',
  )
}
