import { existsSync, realpathSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { Plugin } from '@ferrite-migrate/cli-kit/oclif'
import { UserPlugins } from '@ferrite-migrate/cli-kit/start'
import { MigrateError } from '@ferrite-migrate/contracts'
import { pluginsBeside } from './installed-plugins.js'

/** Where a plugin may come from. */
type Kind = 'core' | 'user' | 'link'

interface Wanted {
  readonly name: string
  readonly root: string
  readonly type: Kind
}

/** What is loaded at a start. */
export interface LoadedPlugins {
  readonly plugins: Map<string, Plugin>
  /** A line for each that cannot be loaded. */
  readonly faults: readonly string[]
}

/**
 * Loads the program and its plugins: those that it depends on, those installed beside it, and those of the user.
 * @param root of the program
 * @param userDirectory where the user's plugins are; null = they are left out
 */
export async function loadPlugins(root: string, userDirectory: string | null): Promise<LoadedPlugins> {
  const program = new Plugin({ root, isRoot: true })
  await program.load()
  const plugins = new Map([[program.name, program]])
  const faults: string[] = []
  const load = async (wanted: readonly Wanted[]): Promise<void> => {
    const found = await Promise.all(
      wanted.map(async ({ name, root: folder, type }) => {
        try {
          const plugin = new Plugin({ name, root: folder, type })
          await plugin.load()
          return plugin
        } catch (error) {
          faults.push(`the plugin ${name} cannot be loaded: ${(error as Error).message.split('\n')[0]}`)
          return null
        }
      }),
    )
    for (const plugin of found) if (plugin !== null && !plugins.has(plugin.name)) plugins.set(plugin.name, plugin)
  }
  const own = named(program, root)
  await load(own)
  // A part of the program may name others.
  for (const { name } of own) {
    const plugin = plugins.get(name)
    if (plugin !== undefined) await load(named(plugin, plugin.root))
  }
  await load(pluginsBeside(root).map((one) => ({ ...one, type: 'core' })))
  if (userDirectory !== null) await load(ofUser(userDirectory, faults))
  return { plugins, faults }
}

/** The packages that a plugin's package.json names as its plugins, where they are. */
function named({ pjson }: Plugin, root: string): Wanted[] {
  return (pjson.oclif.plugins ?? []).flatMap((name) => {
    const folder = packageFolder(name, root)
    // One that is optional was left out: what needs it names it.
    return folder === null ? [] : [{ name, root: folder, type: 'core' as const }]
  })
}

/** Where a module of this folder would find a package, whatever that exports; null = nowhere. */
function packageFolder(name: string, from: string): string | null {
  for (let folder = from; ; folder = dirname(folder)) {
    const found = join(folder, 'node_modules', name)
    if (existsSync(join(found, 'package.json'))) return realpathSync(found)
    if (dirname(folder) === folder) return null
  }
}

function ofUser(directory: string, faults: string[]): Wanted[] {
  try {
    const plugins = new UserPlugins(directory)
    return plugins.all.map((plugin) => ({ name: plugin.name, root: plugins.folderOf(plugin), type: plugin.type }))
  } catch (error) {
    if (!(error instanceof MigrateError)) throw error
    faults.push(error.message)
    return []
  }
}
