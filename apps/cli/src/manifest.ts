import { existsSync, statSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { Plugin } from '@oclif/core'

const ROOT = resolve(import.meta.dirname, '..')
const FILE = join(ROOT, 'oclif.manifest.json')
/** Changes with every build; is not published. */
const BUILT = join(ROOT, 'dist', '.tsbuildinfo')

/**
 * Writes down which commands there are, with their flags: so that a start loads one command and not all. The file is made
 * by the build; what is newer than it counts for more.
 */
export async function writeManifest(): Promise<void> {
  const plugin = new Plugin({ root: ROOT, type: 'core', ignoreManifest: true, respectNoCacheDefault: true })
  await plugin.load()
  writeFileSync(FILE, `${JSON.stringify(plugin.manifest)}\n`)
}

/** Whether something was built after the manifest was written. */
export function manifestIsStale(): boolean {
  return existsSync(BUILT) && existsSync(FILE) && statSync(BUILT).mtimeMs > statSync(FILE).mtimeMs
}
