import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'

/** A plugin as it was found on the disk. */
export interface InstalledPackage {
  readonly name: string
  readonly root: string
}

/** What a package of this project, or one that is named like one, may be called. */
const NAMES = /^(@ferrite-migrate\/.+|(@[^/]+\/)?ferrite-migrate-.+)$/

/**
 * Plugins that were installed beside this program, in the same node_modules: of this project, or named `ferrite-migrate-...`.
 * Nothing is looked for in the current folder.
 * @param root of the program
 */
export function pluginsBeside(root: string): readonly InstalledPackage[] {
  const at = root.replaceAll('\\', '/').lastIndexOf('/node_modules/')
  if (at < 0) return []
  const modules = root.slice(0, at + '/node_modules'.length)
  return foldersIn(modules)
    .flatMap((name) => (name.startsWith('@') ? foldersIn(join(modules, name)).map((one) => `${name}/${one}`) : [name]))
    .filter((name) => NAMES.test(name))
    .map((name) => ({ name, root: join(modules, name) }))
    .filter(({ root: folder }) => folder !== root && isPlugin(folder))
}

function foldersIn(folder: string): string[] {
  try {
    return readdirSync(folder)
  } catch {
    return []
  }
}

function isPlugin(folder: string): boolean {
  try {
    const own = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8')) as {
      ferriteMigrate?: unknown
      oclif?: { commands?: unknown; bin?: unknown }
    }
    return own.ferriteMigrate !== undefined || (own.oclif?.commands !== undefined && own.oclif.bin === undefined)
  } catch {
    return false
  }
}
