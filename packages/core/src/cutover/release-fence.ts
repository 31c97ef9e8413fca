import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type Logger, MigrateError } from '@ferrite-migrate/contracts'
import type { Registry } from '../adapters/registry.js'
import { type MigrationConfig, resolveConfig } from '../config/config.js'
import { sourceOffers } from '../ends/open-ends.js'
import { putBackLeft } from '../state/settings-ledger.js'
import { StateStore } from '../state/state-store.js'
import { resumedConfig } from '../state/stored-config.js'

export interface ReleaseOptions {
  readonly id: string
  readonly directory: string
  readonly registry: Registry
  readonly logger: Logger
  /** What is not stored: the source with its password. */
  readonly given: Partial<MigrationConfig>
}

/**
 * Puts back what a migration left changed at its source: the rights of users that a fence took, settings of a snapshot.
 * Gives it in words; nothing when nothing was left.
 * @throws MigrateError FM_ID_UNKNOWN, FM_ID_TAKEN while the migration runs, FM_RESUME_PASSWORD, FM_CONNECT_*
 */
export async function releaseFence({ id, directory, registry, logger, given }: ReleaseOptions): Promise<string[]> {
  const store = new StateStore(directory)
  const tempDir = mkdtempSync(join(tmpdir(), 'ferrite-migrate-'))
  try {
    const stored = store.get(id)
    if (stored.status.state === 'RUNNING')
      throw new MigrateError(
        'FM_ID_TAKEN',
        `the migration ${id} is running as process ${stored.pid}: it takes its fence down by itself`,
        'Stop a cutover by ending that process (Ctrl-C).',
      )
    if (store.loans({ migration: id }).length === 0) return []
    const config = resolveConfig(resumedConfig(stored, given))
    await using source = await registry.source(config.source, sourceOffers(config), config.sourceOptions, {
      logger,
      signal: new AbortController().signal,
      tempDir,
    })
    const done = await putBackLeft(store, source, config.source, { migration: id, kept: true })
    for (const what of done) store.addEvent(id, 'put-back', `put back: ${what}`)
    return done
  } finally {
    store.close()
    rmSync(tempDir, { recursive: true, force: true })
  }
}
