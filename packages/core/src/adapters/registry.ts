import { createRequire } from 'node:module'
import { dirname, isAbsolute, join, resolve } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import {
  type AdapterContext,
  type AdapterSpec,
  type CreateSource,
  type CreateTarget,
  type CreateTransform,
  ENCODE_HINT,
  keepSecret,
  MigrateError,
  parseManifest,
  parseOption,
  type Source,
  splitConnection,
  type Target,
  type Transform,
} from '@ferrite-migrate/contracts'
import { KNOWN_PLUGINS, MissingPluginError } from './known-plugins.js'
import { nearest } from './nearest.js'
import { pluginFault } from './plugin-fault.js'
import { wholeSource, wholeTarget } from './whole-adapter.js'

/** A plugin package as found: where it is, and its package.json. */
export interface FoundPlugin {
  readonly name: string
  readonly root: string
  readonly packageJson: Readonly<Record<string, unknown>>
}

/**
 * Finds an installed package by name (or a package's folder by path) as a module in `directory` would.
 * @throws MigrateError FM_PLUGIN_MISSING
 */
export function findPlugin(name: string, directory: string): FoundPlugin {
  const require = createRequire(join(directory, 'from-here.js'))
  const folder = name.startsWith('.') || isAbsolute(name)
  try {
    const file = require.resolve(folder ? join(resolve(directory, name), 'package.json') : `${name}/package.json`)
    return {
      name: (require(file) as { name?: string }).name ?? name,
      root: dirname(file),
      packageJson: require(file) as Record<string, unknown>,
    }
  } catch (cause) {
    throw new MigrateError(
      'FM_PLUGIN_MISSING',
      `the plugin ${name} is not installed`,
      `Install it where you start the command: npm install ${name}. Its package.json must be among its exports.`,
      { cause },
    )
  }
}

/** A plugin that a run uses. */
export interface PluginUse {
  readonly name: string
  readonly version: string
  readonly folder: string
  /** As in `source redis`. */
  readonly what: readonly string[]
}

interface Entry {
  readonly plugin: FoundPlugin
  readonly spec: AdapterSpec
}

type OptionValues = Readonly<Record<string, string | number | boolean>>

/** Knows the installed adapters from their manifests alone; imports the one module that a run needs. */
export class Registry {
  /** The packages that adapters were found in. */
  readonly plugins: readonly FoundPlugin[]
  /** The only packages that may be used; null = any. */
  private allowed: ReadonlySet<string> | null = null
  private readonly used = new Map<string, PluginUse>()
  private readonly entries: Entry[] = []

  /**
   * @throws MigrateError FM_PLUGIN_MANIFEST, FM_PLUGIN_CONTRACT, FM_PLUGIN_SCHEME (two plugins claim one scheme)
   */
  constructor(plugins: Iterable<FoundPlugin>) {
    this.plugins = [...plugins]
    const claims = new Map<string, string>()
    for (const plugin of this.plugins) {
      if (plugin.packageJson.ferriteMigrate === undefined) continue
      const { name, root, packageJson } = plugin
      const manifest = parseManifest(packageJson.ferriteMigrate, join(root, 'package.json'), name)
      for (const spec of manifest.adapters) {
        for (const scheme of spec.schemes) {
          const claim = `${spec.kind} ${scheme}`
          const other = claims.get(claim)
          if (other !== undefined && other !== plugin.name)
            throw new MigrateError(
              'FM_PLUGIN_SCHEME',
              `both ${other} and ${plugin.name} claim ${scheme}:// as a ${spec.kind}`,
              `Leave one of the two out, or, if one is your own, change \`schemes\` in its package.json: ${scheme}:// is taken.`,
            )
          claims.set(claim, plugin.name)
        }
        this.entries.push({ plugin, spec })
      }
    }
  }

  /** Finds packages by name, as `import` from the module `from` (an import.meta.url) would. */
  static fromPackages(names: readonly string[], from: string): Registry {
    return new Registry(names.map((name) => findPlugin(name, dirname(fileURLToPath(from)))))
  }

  private has(name: string): boolean {
    return this.plugins.some((plugin) => plugin.name === name)
  }

  /** All adapters of one kind. */
  adapters(kind: AdapterSpec['kind']): readonly AdapterSpec[] {
    return this.entries.filter((entry) => entry.spec.kind === kind).map((entry) => entry.spec)
  }

  private find(kind: 'source' | 'target' | 'runner', url: string): Entry {
    const scheme = /^([a-z][a-z0-9+.-]*):\/\//i.exec(url)?.[1].toLowerCase()
    const known = [...new Set(this.adapters(kind).flatMap((spec) => spec.schemes))]
      .map((name) => `${name}://`)
      .join(', ')
    // A runner is known to people by its queue.
    const what = kind === 'runner' ? 'queue' : kind
    if (scheme === undefined)
      throw new MigrateError(
        'FM_URL_INVALID',
        `the ${what} is no connection string: it has no scheme`,
        `Write one of ${known} and an address.`,
      )
    const entry = this.entries.find((one) => one.spec.kind === kind && one.spec.schemes.includes(scheme))
    const missing = KNOWN_PLUGINS.find((plugin) => plugin[kind]?.includes(scheme))
    if (entry === undefined && missing !== undefined && !this.has(missing.name))
      throw new MissingPluginError(`${scheme}:// as a ${what}`, missing)
    const meant = nearest(
      scheme,
      this.adapters(kind).flatMap(({ schemes }) => schemes),
    )
    if (entry === undefined)
      throw new MigrateError(
        'FM_PLUGIN_MISSING',
        `no installed plugin takes ${scheme}:// as a ${what}`,
        `${meant === undefined ? '' : `Did you mean ${meant}://? `}Installed: ${known || 'none'}. Others are npm packages: install one and name it with --plugin.`,
      )
    return entry
  }

  /**
   * Options from manifest defaults, then what the run offers to adapters that know it, then the URL's query, then `given`;
   * each checked.
   */
  private options(
    entry: Entry,
    url: string,
    offered: OptionValues,
    given: OptionValues,
  ): Record<string, string | number | boolean> {
    const { spec } = entry
    const values: Record<string, string | number | boolean> = {}
    const set = (name: string, raw: string | number | boolean): void => {
      const option = spec.options.find((one) => one.name === name)
      if (option === undefined)
        throw new MigrateError(
          'FM_OPTION_UNKNOWN',
          // A password that is not percent-encoded may be taken for the name of an option.
          `the ${spec.kind} ${spec.name} has no option ${/^[a-z][a-z-]{0,40}$/.test(name) ? `"${name}"` : 'of this name'}`,
          `It has: ${spec.options.map((one) => one.name).join(', ') || 'none'}.`,
        )
      if (option.secret === true) keepSecret(String(raw))
      values[name] = parseOption(option, raw)
    }
    for (const option of spec.options) if (option.default !== undefined) set(option.name, option.default)
    for (const [name, value] of Object.entries(offered))
      if (spec.options.some((one) => one.name === name)) set(name, value)
    const parts = url === '' ? null : splitConnection(url)
    if (url !== '' && parts === null)
      throw new MigrateError(
        'FM_URL_INVALID',
        `the connection string of the ${spec.kind} cannot be taken apart`,
        ENCODE_HINT,
      )
    if (parts?.password !== undefined) keepSecret(parts.password)
    for (const [name, value] of new URLSearchParams(parts?.query ?? ''))
      if (name !== 'db' || !/unix:/.test(parts?.scheme ?? '')) set(name, value)
    for (const [name, value] of Object.entries(given)) set(name, value)
    return values
  }

  /** The plugins that were opened, and for what. */
  get uses(): readonly PluginUse[] {
    return [...this.used.values()]
  }

  /** The same adapters, of which only those of these packages may be opened. */
  only(names: readonly string[] | undefined): Registry {
    if (names === undefined) return this
    const registry = new Registry(this.plugins)
    registry.allowed = new Set(names)
    return registry
  }

  /** @throws MigrateError FM_PLUGIN_REFUSED */
  private use({ plugin, spec }: Entry): void {
    const { name, root, packageJson } = plugin
    if (this.allowed !== null && !this.allowed.has(name))
      throw new MigrateError(
        'FM_PLUGIN_REFUSED',
        `the ${spec.kind} ${spec.name} is of the plugin ${name}, which the configuration does not allow`,
        `Add it to \`plugins: allow:\` (now ${[...this.allowed].join(', ') || 'none'}), or use another ${spec.kind}.`,
      )
    const what = `${spec.kind} ${spec.name}`
    const former = this.used.get(name)?.what ?? []
    this.used.set(name, {
      ...{ name, version: String(packageJson.version ?? ''), folder: root },
      what: former.includes(what) ? former : [...former, what],
    })
  }

  private async import({ plugin, spec }: Entry, file: string): Promise<Record<string, unknown>> {
    try {
      return (await import(pathToFileURL(file).href)) as Record<string, unknown>
    } catch (error) {
      throw error instanceof MigrateError ? error : pluginFault(spec.kind, plugin.name, 'cannot be loaded', error)
    }
  }

  /** Opens an adapter; what it throws and is no error of this tool is its own fault. */
  private async open<T>({ plugin, spec }: Entry, opening: () => Promise<T>): Promise<T> {
    try {
      return await opening()
    } catch (error) {
      throw error instanceof MigrateError ? error : pluginFault(spec.kind, plugin.name, 'cannot be opened', error)
    }
  }

  private async load<T>(entry: Entry, name: string): Promise<T> {
    this.use(entry)
    const file = join(entry.plugin.root, entry.spec.module)
    const module = await this.import(entry, file)
    if (typeof module[name] !== 'function')
      throw new MigrateError(
        'FM_PLUGIN_MANIFEST',
        `${file} exports no ${name}`,
        'The plugin is broken: reinstall it or tell its author.',
      )
    return module[name] as T
  }

  /** The package that takes this address. @throws MigrateError FM_PLUGIN_MISSING, FM_URL_INVALID */
  pluginOf(kind: 'source' | 'target', url: string): string {
    return this.find(kind, url).plugin.name
  }

  /** Whether the adapter of this address has an option of that name. @throws MigrateError FM_PLUGIN_MISSING, FM_URL_INVALID */
  takesOption(kind: 'source' | 'target', url: string, name: string): boolean {
    return this.find(kind, url).spec.options.some((option) => option.name === name)
  }

  /** @throws MigrateError FM_PLUGIN_*, FM_OPTION_*, FM_URL_INVALID; what the adapter throws */
  async source(
    url: string,
    offered: OptionValues,
    given: OptionValues,
    context: Omit<AdapterContext, 'url' | 'options'>,
  ): Promise<Source> {
    const entry = this.find('source', url)
    const options = this.options(entry, url, offered, given)
    const create = await this.load<CreateSource>(entry, 'createSource')
    return wholeSource(await this.open(entry, () => create({ ...context, url, options })), entry.plugin.name)
  }

  async target(
    url: string,
    offered: OptionValues,
    given: OptionValues,
    context: Omit<AdapterContext, 'url' | 'options'>,
  ): Promise<Target> {
    const entry = this.find('target', url)
    const options = this.options(entry, url, offered, given)
    const create = await this.load<CreateTarget>(entry, 'createTarget')
    return wholeTarget(await this.open(entry, () => create({ ...context, url, options })), entry.plugin.name)
  }

  /**
   * The function of a runner's module that opens it (`CreateRunner`), by the address of its queue.
   * @throws MigrateError FM_PLUGIN_*, FM_URL_INVALID
   */
  async runner<T>(url: string): Promise<T> {
    const parts = splitConnection(url)
    if (parts?.password !== undefined) keepSecret(parts.password)
    return this.load<T>(this.find('runner', url), 'createRunner')
  }

  /** @throws MigrateError FM_PLUGIN_MISSING, FM_OPTION_* */
  async transform(
    name: string,
    url: string,
    given: OptionValues,
    context: Omit<AdapterContext, 'url' | 'options'>,
  ): Promise<Transform> {
    const entry = this.entries.find(({ spec }) => spec.kind === 'transform' && spec.name === name)
    const missing = KNOWN_PLUGINS.find(({ transforms }) => transforms?.includes(name))
    if (entry === undefined && missing !== undefined && !this.has(missing.name))
      throw new MissingPluginError(`the transform ${name}`, missing)
    if (entry === undefined)
      throw new MigrateError(
        'FM_PLUGIN_MISSING',
        `no installed plugin brings the transform ${name}`,
        `Installed: ${
          this.adapters('transform')
            .map((spec) => spec.name)
            .join(', ') || 'none'
        }. Others are npm packages: install one and name it with --plugin.`,
      )
    const options = this.options(entry, '', {}, given)
    const create = await this.load<CreateTransform>(entry, 'createTransform')
    return this.open(entry, () => create({ ...context, url, options }))
  }
}
