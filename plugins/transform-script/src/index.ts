import { readFileSync } from 'node:fs'
import { basename } from 'node:path'
import { type AdapterContext, MigrateError, type Transform } from '@ferrite-migrate/contracts'
import { WorkerPool } from '@ferrite-migrate/sandbox'
import type { ScriptFacts } from './script-request.js'
import { ScriptTransform } from './script-transform.js'

const LOAD_MS = 60_000

/**
 * Loads a script: `.py` into CPython (Pyodide), everything else into QuickJS; both are WebAssembly, in processes of their own.
 * @throws MigrateError FM_TRANSFORM_SCRIPT when it cannot be loaded or defines nothing
 */
export async function createTransform({
  url,
  options,
  logger,
  signal,
  firstFaultEnds = false,
}: AdapterContext): Promise<Transform> {
  const file = basename(url)
  const python = file.toLowerCase().endsWith('.py')
  const names = python ? 'transform_key, transform_value' : 'transformKey, transformValue'
  let pool: WorkerPool
  try {
    pool = await WorkerPool.open({
      module: new URL(python ? './pyodide-worker.js' : './quickjs-worker.js', import.meta.url),
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
