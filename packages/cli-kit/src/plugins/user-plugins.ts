import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { MigrateError } from '@ferrite-migrate/contracts'

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
      return JSON.parse(text) as UserPackage
    } catch (error) {
      throw this.broken(error)
    }
  }

  private write(own: UserPackage): void {
    try {
      mkdirSync(this.directory, { recursive: true, mode: 0o700 })
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
