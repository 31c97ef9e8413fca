import { type AdapterContext, MigrateError, type Source, type Target } from '@ferrite-migrate/contracts'
import type { Registry } from '../adapters/registry.js'
import type { ResolvedConfig } from '../config/config.js'
import { hasSecret, passwordVariable } from '../config/secrets.js'

type Context = Omit<AdapterContext, 'url' | 'options'>

/** What a run offers to the adapter of one end, where that knows such an option. */
function offers(config: ResolvedConfig, end: 'source' | 'target'): Record<string, string | number> {
  const password = process.env[passwordVariable(end)]
  return {
    'sync-timeout': `${config.syncTimeoutMs}ms`,
    ...(password === undefined || hasSecret(config[end], {}) ? {} : { password }),
    ...(end === 'target'
      ? { unsupported: config.unsupported }
      : { capture: config.capture, 'spool-limit': config.spoolLimit, 'batch-size': config.batchSize }),
  }
}

/** What a run offers to the adapter of its source. */
export function sourceOffers(config: ResolvedConfig): Record<string, string | number> {
  return offers(config, 'source')
}

/** Opens source and target at once; each is itself or what went wrong with it. */
export async function openEnds(
  config: ResolvedConfig,
  registry: Registry,
  context: Context,
): Promise<{ source: Source | Error; target: Target | Error }> {
  const failed = (error: unknown): Error => error as Error
  refuseUnknownCapture(config, registry)
  const [source, target] = await Promise.all([
    Promise.resolve()
      .then(() => registry.source(config.source, offers(config, 'source'), config.sourceOptions, context))
      .catch(failed),
    Promise.resolve()
      .then(() => registry.target(config.target, offers(config, 'target'), config.targetOptions, context))
      .catch(failed),
  ])
  return { source, target }
}

/** A way to follow a source that it does not know would be left out without a word. */
function refuseUnknownCapture({ capture, source }: ResolvedConfig, registry: Registry): void {
  if (capture === 'auto' || registry.takesOption('source', source, 'capture')) return
  throw new MigrateError(
    'FM_OPTION_UNKNOWN',
    `this source has one way to tell its changes, and knows no --capture ${capture}`,
    'Leave --capture out.',
  )
}
