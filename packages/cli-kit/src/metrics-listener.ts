import { createRequire } from 'node:module'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { KNOWN_PLUGINS, type MetricSample, MissingPluginError } from '@ferrite-migrate/core'
import type { Interfaces } from '@oclif/core'

const PLUGIN = '@ferrite-migrate/serve'

/** Answers collectors until it is closed. */
export interface Listening {
  readonly url: string
  close(): Promise<void>
}

type Listen = (address: string, samples: () => readonly MetricSample[]) => Promise<Listening>

/**
 * What answers collectors: it is in a plugin, with the library for it, so that who wants no metrics installs neither.
 * @throws MissingPluginError
 */
export async function metricsListener({ plugins }: Pick<Interfaces.Config, 'plugins'>): Promise<Listen> {
  const known = KNOWN_PLUGINS.find(({ name }) => name === PLUGIN)
  const root = plugins.get(PLUGIN)?.root
  if (known === undefined || root === undefined)
    throw new MissingPluginError('--metrics-listen', known ?? { name: PLUGIN, megabytes: 9 })
  const file = createRequire(join(root, 'package.json')).resolve(PLUGIN)
  const module: unknown = await import(pathToFileURL(file).href)
  if (!isListener(module)) throw new MissingPluginError('--metrics-listen', known)
  return (address, samples) => module.MetricsListener.open(address, samples)
}

function isListener(module: unknown): module is { MetricsListener: { open: Listen } } {
  return typeof module === 'object' && module !== null && 'MetricsListener' in module
}
