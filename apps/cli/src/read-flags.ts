import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setFlagsFromString } from 'node:v8'
import type { AdapterContext, Logger } from '@ferrite-migrate/contracts'
import { type MigrationConfig, type ResolvedConfig, resolveConfig } from '@ferrite-migrate/core'
import { type MigrateFlagValues, migrateFlags, migrationConfig } from './migrate-flags.js'

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
  'transform-keys': migrateFlags['transform-keys'],
  'db-map': migrateFlags['db-map'],
  'source-option': migrateFlags['source-option'],
  'target-option': migrateFlags['target-option'],
}

/** The configuration that they describe. */
export function readConfig(flags: MigrateFlagValues): ResolvedConfig {
  const config: MigrationConfig = migrationConfig(flags, () => '.', undefined)
  return resolveConfig({ ...config, mode: 'snapshot' })
}

/** Calls with what adapters need to be opened for reading; Ctrl-C aborts. */
export async function withContext<T>(
  logger: Logger,
  use: (context: Omit<AdapterContext, 'url' | 'options'>) => Promise<T>,
): Promise<T> {
  // Replies die young: a young generation that grows to its maximum only makes the process larger.
  setFlagsFromString('--semi-space-growth-factor=1')
  const stop = new AbortController()
  const abort = (): void => stop.abort()
  process.once('SIGINT', abort)
  const tempDir = mkdtempSync(join(tmpdir(), 'ferrite-migrate-'))
  try {
    return await use({ logger, signal: stop.signal, tempDir })
  } finally {
    process.off('SIGINT', abort)
    rmSync(tempDir, { recursive: true, force: true })
  }
}
