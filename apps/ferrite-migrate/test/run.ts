import { mkdtempSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseEndpoint, RedisKeyReader, RedisLink } from '@ferrite-migrate/redis'
import { until } from '@ferrite-migrate/servers'
import {
  type Difference,
  defaultRegistry,
  Migration,
  type MigrationConfig,
  type MigrationReport,
  NO_TRANSFORM,
  RecordFilter,
  Verifier,
} from 'ferrite-migrate'

export const stateDir = (): string => mkdtempSync(join(tmpdir(), 'fm-state-'))

/** A migration with the built-in adapters and a state directory of its own. */
export function migration(config: Partial<MigrationConfig> & { source: string; target: string }): Migration {
  return new Migration({ stateDir: stateDir(), ...config }, { registry: defaultRegistry() })
}

/** Runs live until caught up. */
export async function migrateLive(
  config: Partial<MigrationConfig> & { source: string; target: string },
): Promise<MigrationReport> {
  return migration({ mode: 'live', exit: true, ...config }).start()
}

/** All differences between two quiet servers. */
export async function differences(
  source: string,
  target: string,
  options: { fieldExpiry?: boolean; ferrite?: boolean; include?: string[] } = {},
): Promise<readonly Difference[]> {
  const a = new RedisKeyReader(parseEndpoint(source), { digest: { fieldExpiry: true } })
  const b = new RedisKeyReader(parseEndpoint(target), { ferrite: options.ferrite ?? false })
  try {
    const filter = new RecordFilter({ include: options.include ?? [], exclude: [], types: [], dbs: [], expiry: 'any' })
    const report = await new Verifier(a, b, {
      filter,
      transform: NO_TRANSFORM,
      digest: { fieldExpiry: options.fieldExpiry ?? true },
      ttlToleranceMs: 1000,
      rounds: 2,
      pauseMs: 200,
      signal: new AbortController().signal,
    }).run()
    return report.differences
  } finally {
    await a.close()
    await b.close()
  }
}

export async function command(url: string, ...argv: (Buffer | string | number)[]): Promise<unknown> {
  const link = await RedisLink.open(parseEndpoint(url))
  try {
    return await link.call(...argv)
  } finally {
    link.close()
  }
}

/** Runs a live migration for as long as `during` takes, lets it catch up, stops it. */
export async function migrateDuring(
  config: Partial<MigrationConfig> & { source: string; target: string },
  during: () => Promise<unknown>,
  markAt = '__mark__',
): Promise<MigrationReport> {
  const run = migration({ mode: 'live', ...config })
  const result = run.start()
  const live = new Promise<void>((resolve) => run.on('phase', (phase) => phase === 'LIVE_SYNC' && resolve()))
  await Promise.race([live, result])
  await during()
  await Promise.race([caughtUp(run, config.source, markAt), result])
  run.stop()
  return result
}

/** Waits until what is at the source now is at the target, where the mark is called `markAt`. */
export async function caughtUp(run: Migration, source: string, markAt = '__mark__'): Promise<void> {
  const mark = `mark-${Date.now()}`
  await command(source, 'SET', '__mark__', mark)
  const target = run.config.target.replace(/^ferrite/, 'redis')
  await until(
    async () => String(await command(target, 'GET', markAt).catch(() => null)) === mark,
    'the target caught up',
  )
}
