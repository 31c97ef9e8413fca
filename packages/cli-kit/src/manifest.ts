import { writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { Plugin } from '@oclif/core'

/**
 * Writes oclif.manifest.json: which commands a package has, with their flags, so that a start loads one command and not all. For the
 * build of a package that brings commands.
 * @param folder of the package, built
 */
export async function writeManifest(folder: string): Promise<void> {
  const root = resolve(folder)
  const plugin = new Plugin({ root, type: 'core', ignoreManifest: true, respectNoCacheDefault: true })
  await plugin.load()
  writeFileSync(join(root, 'oclif.manifest.json'), `${JSON.stringify(plugin.manifest, withoutDefaults)}\n`)
}

/** What is so where nothing is said: it would be a tenth of the file, once for each flag of each command. */
function withoutDefaults(name: string, value: unknown): unknown {
  return value === false && /^(allowNo|hasDynamicHelp|multiple)$/.test(name) ? undefined : value
}
