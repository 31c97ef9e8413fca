import { readdirSync, readFileSync, realpathSync } from 'node:fs'
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
  const place = root.replaceAll('\\', '/')
  // pnpm keeps each package in a folder of its own, beside what it depends on, and links to it from where it was installed.
  const folders = [place.lastIndexOf('/node_modules/'), place.indexOf('/node_modules/.pnpm/')].filter((at) => at >= 0)
  return [...new Set(folders)].flatMap((at) => pluginsIn(root.slice(0, at + '/node_modules'.length), root))
}

function pluginsIn(modules: string, root: string): readonly InstalledPackage[] {
  return foldersIn(modules)
    .flatMap((name) => (name.startsWith('@') ? foldersIn(join(modules, name)).map((one) => `${name}/${one}`) : [name]))
    .filter((name) => NAMES.test(name))
    .map((name) => ({ name, root: realPath(join(modules, name)) }))
    .filter(({ root: folder }) => folder !== realPath(root) && isPlugin(folder))
}

function realPath(path: string): string {
  try {
    return realpathSync(path)
  } catch {
    return path
  }
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
