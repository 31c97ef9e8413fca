import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { MigrateError } from '@ferrite-migrate/contracts'
import { makePrivateDirectory } from '@ferrite-migrate/files'

/** A plugin that a user has installed or linked, as package.json of the data directory names it; oclif reads the same. */
export interface UserPlugin {
  readonly name: string
  /** `link` = a folder of its own. */
  readonly type: 'user' | 'link'
  /** What was asked for, as npm takes it; of a linked one its folder. */
  readonly tag?: string
  readonly root?: string
}

interface UserPackage {
  dependencies?: Record<string, string>
  oclif?: { schema?: number; plugins?: UserPlugin[] }
  [field: string]: unknown
}

/** What npm and oclif wrote, or somebody else has broken. @throws Error that says what is wrong */
function checked(own: unknown): UserPackage {
  if (!isObject(own)) throw new Error('it is no object')
  const { oclif = {}, dependencies = {} } = own
  if (!isObject(oclif)) throw new Error('`oclif` is no object')
  if (!isObject(dependencies)) throw new Error('`dependencies` is no object')
  const { plugins = [] } = oclif
  if (!Array.isArray(plugins)) throw new Error('`oclif.plugins` is no list')
  const named = plugins.map((plugin: unknown): UserPlugin => {
    if (!isObject(plugin) || typeof plugin.name !== 'string' || plugin.name === '')
      throw new Error('a plugin in `oclif.plugins` has no name')
    const { name, type, tag, root } = plugin
    if (type !== 'user' && type !== 'link') throw new Error(`the plugin ${name} is neither of type user nor link`)
    if (root !== undefined && typeof root !== 'string') throw new Error(`the folder of the plugin ${name} is no text`)
    return {
      ...{ name, type },
      ...(typeof tag === 'string' ? { tag } : {}),
      ...(root === undefined ? {} : { root }),
    }
  })
  const installed = Object.entries(dependencies).map(([name, spec]) => [name, String(spec)] as const)
  return { ...own, dependencies: Object.fromEntries(installed), oclif: { ...oclif, schema: 1, plugins: named } }
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** The plugins of one user: in the data directory, with a package.json that npm and oclif both read. */
export class UserPlugins {
  readonly directory: string

  /** @param directory where commands keep their data; made when something is installed */
  constructor(directory: string) {
    this.directory = directory
  }

  get all(): readonly UserPlugin[] {
    return this.read().oclif?.plugins ?? []
  }

  /** Names of the packages that npm has put here. */
  get packages(): readonly string[] {
    return Object.keys(this.read().dependencies ?? {})
  }

  /** The folder of an installed package. */
  folderOf({ name, root }: UserPlugin): string {
    return root ?? join(this.directory, 'node_modules', ...name.split('/'))
  }

  /** Makes the package.json if there is none. @throws MigrateError FM_PLUGIN_INSTALL */
  prepare(): void {
    this.write(this.read())
  }

  add(plugin: UserPlugin): void {
    const own = this.read()
    const others = (own.oclif?.plugins ?? []).filter(({ name }) => name !== plugin.name)
    this.write({ ...own, oclif: { schema: 1, ...own.oclif, plugins: [...others, plugin] } })
  }

  remove(name: string): void {
    const own = this.read()
    const plugins = (own.oclif?.plugins ?? []).filter((one) => one.name !== name)
    this.write({ ...own, oclif: { schema: 1, ...own.oclif, plugins } })
  }

  private get file(): string {
    return join(this.directory, 'package.json')
  }

  private read(): UserPackage {
    let text: string
    try {
      text = readFileSync(this.file, 'utf8')
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT')
        return { private: true, oclif: { schema: 1, plugins: [] } }
      throw this.broken(error)
    }
    try {
      return checked(JSON.parse(text))
    } catch (error) {
      throw this.broken(error)
    }
  }

  private write(own: UserPackage): void {
    try {
      makePrivateDirectory(this.directory)
      writeFileSync(this.file, `${JSON.stringify(own, null, 2)}\n`)
    } catch (error) {
      throw this.broken(error)
    }
  }

  private broken(cause: unknown): MigrateError {
    return new MigrateError(
      'FM_PLUGIN_INSTALL',
      `the list of installed plugins, ${this.file}, cannot be used: ${(cause as Error).message.split('\n')[0]}`,
      'Mend it, or remove it and install the plugins again.',
      { cause },
    )
  }
}
