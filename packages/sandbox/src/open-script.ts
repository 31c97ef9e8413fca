import { readFileSync } from 'node:fs'
import { basename } from 'node:path'
import { type AdapterContext, MigrateError, type Transform } from '@ferrite-migrate/contracts'
import type { ScriptFacts } from './script-request.js'
import { ScriptTransform } from './script-transform.js'
import { WorkerPool } from './worker-pool.js'

const LOAD_MS = 60_000

/** An engine that runs scripts. */
export interface ScriptEngine {
  /** The worker that loads the script; it answers `ScriptRequest`s. */
  readonly worker: URL
  /** What a script may define, as an error names it. */
  readonly names: string
}

/**
 * Loads a script into an engine, in processes of its own. The options are `memory` (bytes), `timeout` (ms) and `workers`.
 * @throws MigrateError FM_TRANSFORM_SCRIPT when it cannot be loaded or defines nothing
 */
export async function openScript(
  { url, options, logger, signal, firstFaultEnds = false }: AdapterContext,
  { worker, names }: ScriptEngine,
): Promise<Transform> {
  const file = basename(url)
  let pool: WorkerPool
  try {
    pool = await WorkerPool.open({
      module: worker,
      data: { source: readFileSync(url, 'utf8'), file, timeoutMs: options.timeout },
      memoryBytes: Number(options.memory),
      workers: Math.max(1, Number(options.workers)),
      timeoutMs: Number(options.timeout),
      interruptible: true,
      loadMs: LOAD_MS,
      logger,
      signal,
    })
  } catch (cause) {
    throw new MigrateError(
      'FM_TRANSFORM_SCRIPT',
      `the script ${file} cannot be used: ${(cause as Error).message}`,
      'It runs in a sandbox without files, network, clock and processes; see docs/transformation.md.',
      { cause },
    )
  }
  const facts = pool.facts as ScriptFacts
  if (!facts.keys && !facts.values) {
    await pool.close()
    throw new MigrateError(
      'FM_TRANSFORM_SCRIPT',
      `the script ${file} defines none of ${names}`,
      'Define at least one of them; see docs/transformation.md.',
    )
  }
  return new ScriptTransform(pool, facts, firstFaultEnds)
}
