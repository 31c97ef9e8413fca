import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type AdapterContext, type Logger, MigrateError, parseOption } from '@ferrite-migrate/contracts'
import { type CompareProgress, type MigrationConfig, type ResolvedConfig, resolveConfig } from '@ferrite-migrate/core'
import { Flags } from '@oclif/core'
import { ExitCode } from './exit-code.js'
import { type MigrateFlagValues, migrateFlags } from './migrate-flags.js'
import { migrationConfig } from './migration-config.js'
import { ProgressLine } from './render/progress-line.js'
import { onSignals } from './signals.js'

/** The flags of commands that compare two ends: where they are, and which keys under which names. */
export const readFlags = {
  config: migrateFlags.config,
  source: migrateFlags.source,
  target: migrateFlags.target,
  filter: migrateFlags.filter,
  exclude: migrateFlags.exclude,
  type: migrateFlags.type,
  db: migrateFlags.db,
  expiry: migrateFlags.expiry,
  'filter-regex': migrateFlags['filter-regex'],
  'exclude-regex': migrateFlags['exclude-regex'],
  'min-size': migrateFlags['min-size'],
  'max-size': migrateFlags['max-size'],
  'min-ttl': migrateFlags['min-ttl'],
  'max-ttl': migrateFlags['max-ttl'],
  slots: migrateFlags.slots,
  transform: migrateFlags.transform,
  'transform-script': migrateFlags['transform-script'],
  'script-memory': migrateFlags['script-memory'],
  'script-timeout': migrateFlags['script-timeout'],
  'script-workers': migrateFlags['script-workers'],
  'on-transform-error': migrateFlags['on-transform-error'],
  'transform-keys': migrateFlags['transform-keys'],
  'db-map': migrateFlags['db-map'],
  'source-option': migrateFlags['source-option'],
  'target-option': migrateFlags['target-option'],
}

/** The flags of commands that judge two values. */
export const comparisonFlags = {
  ...readFlags,
  'ttl-tolerance': Flags.string({
    description: 'Difference of expiries that does not count',
    default: '1s',
    helpValue: '<TIME>',
  }),
  rounds: Flags.integer({
    description: 'How often a difference is looked at again before it counts',
    default: 4,
    min: 1,
    max: 20,
  }),
}

/** The value of --ttl-tolerance, ms. @throws MigrateError FM_OPTION_VALUE */
export function ttlToleranceMs(value: string): number {
  const option = { name: 'ttl-tolerance', type: 'duration', description: 'Give a duration such as 1s.' } as const
  return parseOption(option, value) as number
}

const STAGES: Readonly<Record<CompareProgress['stage'], string>> = {
  compare: 'keys compared',
  again: 'that differ looked at again',
  describe: 'differences looked into',
}

/** Shows how far a comparison is; `end` takes it away. */
export function comparisonProgress(json: boolean): {
  onProgress: (progress: CompareProgress) => void
  end: () => void
} {
  const line = new ProgressLine(json)
  return {
    onProgress: ({ stage, done, total }) => line.show(STAGES[stage], done, total),
    end: () => line.end(),
  }
}

/** The configuration that they describe. */
export function readConfig(flags: MigrateFlagValues): ResolvedConfig {
  const config: MigrationConfig = migrationConfig(flags, () => '.', undefined)
  return resolveConfig({ ...config, mode: 'snapshot' })
}

/**
 * Calls with what adapters need to be opened for reading; Ctrl-C aborts, and what was found by then is no answer.
 * @throws MigrateError FM_INTERRUPTED
 */
export async function withContext<T>(
  logger: Logger,
  use: (context: Omit<AdapterContext, 'url' | 'options'>) => Promise<T>,
): Promise<T> {
  const stop = new AbortController()
  const release = onSignals(
    () => stop.abort(),
    () => process.exit(ExitCode.interrupted),
  )
  const tempDir = mkdtempSync(join(tmpdir(), 'ferrite-migrate-'))
  try {
    const interrupted = (): MigrateError =>
      new MigrateError('FM_INTERRUPTED', 'interrupted before the end', 'Start it again.')
    const result = await use({ logger, signal: stop.signal, tempDir }).catch((error) => {
      // A server that says nothing is left, and what it leaves undone is no fault of its own.
      throw stop.signal.aborted && error instanceof MigrateError && error.retryable ? interrupted() : error
    })
    if (stop.signal.aborted) throw interrupted()
    return result
  } finally {
    release()
    rmSync(tempDir, { recursive: true, force: true })
  }
}
