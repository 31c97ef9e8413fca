import { readdirSync, readFileSync, realpathSync } from 'node:fs'
import { dirname, join } from 'node:path'

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
 * @param started the file by which it was started: pnpm keeps each package in a folder of its own, and links to it from where it was
 * installed
 */
export function pluginsBeside(root: string, started: string | undefined): readonly InstalledPackage[] {
  const linked = started === undefined ? root : dirname(dirname(started))
  const found = besideFolder(root)
  return linked === root || realPath(linked) !== root ? found : [...found, ...besideFolder(linked)]
}

function besideFolder(root: string): readonly InstalledPackage[] {
  const at = root.replaceAll('\\', '/').lastIndexOf('/node_modules/')
  if (at < 0) return []
  const modules = root.slice(0, at + '/node_modules'.length)
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
