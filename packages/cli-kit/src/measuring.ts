import { createRequire } from 'node:module'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { KNOWN_PLUGINS, type Measuring, MissingPluginError, type OpenMeasuring } from '@ferrite-migrate/core'
import type { Interfaces } from '@oclif/core'

/** Who gets what is measured, by the flag that names the place: each is in a plugin, with the library for it. */
const PLUGINS = { 'metrics-listen': '@ferrite-migrate/serve', otlp: '@ferrite-migrate/otlp' } as const

type MeasuringFlag = keyof typeof PLUGINS

export type MeasuringFlags = { readonly [F in MeasuringFlag]?: string | undefined }

type Samples = Parameters<OpenMeasuring>[1]

/**
 * What the flags ask for, found before anything is begun; null = nothing. Opening it gives the end of it.
 * @throws MissingPluginError
 */
export async function measuringOf(
  config: Pick<Interfaces.Config, 'plugins'>,
  flags: MeasuringFlags,
): Promise<((samples: Samples, say: (text: string) => void) => Promise<{ close(): Promise<void> }>) | null> {
  const wanted: { place: string; open: OpenMeasuring }[] = []
  for (const flag of ['metrics-listen', 'otlp'] as const) {
    const place = flags[flag]
    if (place !== undefined) wanted.push({ place, open: await opener(config, flag) })
  }
  if (wanted.length === 0) return null
  return async (samples, say) => {
    const open: Measuring[] = []
    const close = async (): Promise<void> => {
      await Promise.all(open.map((one) => one.close()))
    }
    try {
      for (const { place, open: begin } of wanted) open.push(await begin(place, samples, say))
    } catch (error) {
      await close()
      throw error
    }
    for (const { said } of open) say(said)
    return { close }
  }
}

async function opener({ plugins }: Pick<Interfaces.Config, 'plugins'>, flag: MeasuringFlag): Promise<OpenMeasuring> {
  const plugin = PLUGINS[flag]
  const missing = (): MissingPluginError =>
    new MissingPluginError(`--${flag}`, KNOWN_PLUGINS.find(({ name }) => name === plugin)!)
  const root = plugins.get(plugin)?.root
  if (root === undefined) throw missing()
  const file = createRequire(join(root, 'package.json')).resolve(plugin)
  const module: unknown = await import(pathToFileURL(file).href)
  if (!isMeasuring(module)) throw missing()
  return module.openMeasuring
}

function isMeasuring(module: unknown): module is { openMeasuring: OpenMeasuring } {
  return typeof module === 'object' && module !== null && 'openMeasuring' in module
}
