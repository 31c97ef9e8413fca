import { MigrateError } from '@ferrite-migrate/contracts'
import { z } from 'zod'

const count = (least: number, most: number) => z.int().min(least).max(most)

const options = z.record(z.string(), z.union([z.string(), z.number(), z.boolean()])).default({})

/** Which keys a migration takes. Globs are Redis's, on bytes. */
export const filterSchema = z
  .strictObject({
    include: z.array(z.string().min(1)).default([]),
    exclude: z.array(z.string().min(1)).default([]),
    types: z.array(z.enum(['string', 'list', 'set', 'zset', 'hash', 'stream', 'module'])).default([]),
    dbs: z.array(count(0, 65535)).default([]),
    /** Keys with an expiry only, or those without. */
    expiry: z.enum(['any', 'expiring', 'persistent']).default('any'),
  })
  .prefault({})

export const configSchema = z.strictObject({
  source: z.string().min(1),
  target: z.string().min(1),
  mode: z.enum(['live', 'snapshot']).default('live'),
  /** Chosen by the tool when absent. */
  id: z
    .string()
    .regex(/^[A-Za-z0-9_-]{1,64}$/, 'letters, digits, _ and -')
    .optional(),
  parallel: count(1, 64).default(4),
  batchSize: count(1, 100_000).default(1000),
  filter: filterSchema,
  onConflict: z.enum(['replace', 'skip', 'fail']).default('replace'),
  capture: z.enum(['auto', 'psync', 'notifications']).default('auto'),
  apply: z.enum(['auto', 'replay', 'state']).default('auto'),
  verify: z.boolean().default(false),
  /** Live mode ends when at most so many keys are behind (with `exit`). */
  untilLag: count(0, 1e9).optional(),
  exit: z.boolean().default(false),
  /** Bytes of the source's stream kept on disk while the target is behind. */
  spoolLimit: count(1 << 20, 2 ** 50).default(16 * 1024 ** 3),
  /** How long a lost server is tried again, ms. */
  syncTimeoutMs: count(0, 7 * 86_400_000).default(3_600_000),
  sourceOptions: options,
  targetOptions: options,
  stateDir: z.string().min(1).optional(),
})

/** What `new Migration` takes. */
export type MigrationConfig = z.input<typeof configSchema>
/** The same with every default filled in. */
export type ResolvedConfig = z.output<typeof configSchema>
export type FilterConfig = z.output<typeof filterSchema>

/**
 * Checks a configuration.
 * @throws MigrateError FM_CONFIG_INVALID naming every wrong field
 */
export function resolveConfig(config: MigrationConfig): ResolvedConfig {
  const result = configSchema.safeParse(config)
  if (result.success) return result.data
  const problems = result.error.issues.map((issue) => `${issue.path.join('.') || 'configuration'}: ${issue.message}`)
  throw new MigrateError('FM_CONFIG_INVALID', problems.join('; '), 'Correct the fields named; docs/configuration.md lists all of them.')
}
