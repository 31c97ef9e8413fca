import { spawn } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { MigrateError, parseManifest, withoutSecrets } from '@ferrite-migrate/contracts'
import { type UserPlugin, UserPlugins } from './user-plugins.js'

/** Lines of npm that an error repeats. */
const TOLD_LINES = 6

interface PluginPackage {
  readonly name?: string
  readonly version?: string
  readonly ferriteMigrate?: unknown
  readonly oclif?: { readonly commands?: unknown; readonly hooks?: unknown }
}

/** An installed plugin and its version. */
export interface InstalledPlugin {
  readonly name: string
  readonly version: string
  readonly folder: string
}

/**
 * Installs plugins with the npm of this machine. No script of a package is run, and npm is not a part of this program: it would be
 * most of its size.
 */
export class PluginInstaller {
  private readonly plugins: UserPlugins

  /** @param directory the data directory of commands */
  constructor(directory: string) {
    this.plugins = new UserPlugins(directory)
  }

  /**
   * @param spec as npm takes it: a name, name@version, a tarball, an address
   * @throws MigrateError FM_PLUGIN_INSTALL, FM_PLUGIN_MANIFEST
   */
  async install(spec: string): Promise<InstalledPlugin> {
    this.plugins.prepare()
    const before = new Set(this.plugins.packages)
    await this.npm('install', spec)
    const wanted = nameOf(spec)
    const name = wanted ?? this.plugins.packages.find((one) => !before.has(one))
    if (name === undefined)
      throw new MigrateError(
        'FM_PLUGIN_INSTALL',
        `npm does not tell which package ${spec} is`,
        'Uninstall it first (ferrite-migrate plugins uninstall NAME), or give its name.',
      )
    try {
      const installed = pluginIn(this.plugins.folderOf({ name, type: 'user' }), name)
      this.plugins.add({ name, type: 'user', tag: tagOf(spec) })
      return installed
    } catch (error) {
      if (!before.has(name)) await this.npm('uninstall', name)
      throw error
    }
  }

  /** Uses a folder as a plugin from now on. @throws MigrateError FM_PLUGIN_INSTALL, FM_PLUGIN_MANIFEST */
  link(folder: string): InstalledPlugin {
    const root = resolve(folder)
    const linked = pluginIn(root, folder)
    this.plugins.add({ name: linked.name, type: 'link', root })
    return linked
  }

  /** @throws MigrateError FM_PLUGIN_INSTALL when there is no such plugin */
  async uninstall(name: string): Promise<void> {
    const plugin = this.plugins.all.find((one) => one.name === name)
    if (plugin === undefined) {
      const names = this.plugins.all.map((one) => one.name)
      throw new MigrateError(
        'FM_PLUGIN_INSTALL',
        `${name} was not installed with \`plugins install\``,
        names.length === 0 ? 'No plugin was.' : `Installed so: ${names.join(', ')}.`,
      )
    }
    this.plugins.remove(name)
    if (plugin.type === 'user') await this.npm('uninstall', name)
  }

  /** What was installed or linked; a plugin whose folder is gone has no version. */
  list(): readonly (UserPlugin & { readonly version: string | null; readonly folder: string })[] {
    return this.plugins.all.map((plugin) => {
      const folder = this.plugins.folderOf(plugin)
      return { ...plugin, folder, version: readPackage(folder)?.version ?? null }
    })
  }

  private async npm(action: 'install' | 'uninstall', spec: string): Promise<void> {
    const args = [action, '--save', '--ignore-scripts', '--no-audit', '--no-fund', '--loglevel=error', '--', spec]
    const child = spawn('npm', args, {
      cwd: this.plugins.directory,
      stdio: ['ignore', 'pipe', 'pipe'],
      shell: process.platform === 'win32',
    })
    let said = ''
    const keep = (data: Buffer): void => {
      said = (said + data.toString('utf8')).slice(-8000)
    }
    child.stdout.on('data', keep)
    child.stderr.on('data', keep)
    const code = await new Promise<number | Error>((done) => {
      child.once('error', done)
      child.once('close', (status) => done(status ?? 1))
    })
    if (code === 0) return
    if (code instanceof Error)
      throw new MigrateError(
        'FM_PLUGIN_INSTALL',
        'there is no npm on the PATH, which installs plugins',
        'Install Node with npm, or install the plugin beside ferrite-migrate by other means.',
        { cause: code },
      )
    const lines = said
      .split('\n')
      .map((line) => line.replace(/^npm (error|ERR!) ?/, '').trim())
      .filter((line) => line !== '' && !/complete log of this run|debug-\d+\.log/.test(line))
    throw new MigrateError(
      'FM_PLUGIN_INSTALL',
      withoutSecrets(`npm could not ${action} ${spec}: ${lines.slice(0, TOLD_LINES).join(' ')}`),
      'Look at the name, at the network, and at the registry that npm uses (npm config get registry).',
    )
  }
}

/** The name in what npm is asked for; null = an address or a file, which has none. */
function nameOf(spec: string): string | undefined {
  const match = /^((?:@[a-z0-9~-][a-z0-9._~-]*\/)?[a-z0-9~-][a-z0-9._~-]*)(?:@[^/]*)?$/i.exec(spec)
  return match === null || /\.t(ar\.)?gz$/.test(spec) ? undefined : match[1]
}

function tagOf(spec: string): string {
  const at = spec.lastIndexOf('@')
  return at > 0 && nameOf(spec) !== undefined ? spec.slice(at + 1) : nameOf(spec) === undefined ? spec : 'latest'
}

function readPackage(folder: string): PluginPackage | null {
  const file = join(folder, 'package.json')
  if (!existsSync(file)) return null
  try {
    return JSON.parse(readFileSync(file, 'utf8')) as PluginPackage
  } catch {
    return null
  }
}

function pluginIn(folder: string, what: string): InstalledPlugin {
  const found = readPackage(folder)
  if (found?.name === undefined)
    throw new MigrateError('FM_PLUGIN_INSTALL', `${what} is no package`, 'It has no package.json with a name.')
  if (found.ferriteMigrate !== undefined) parseManifest(found.ferriteMigrate, join(folder, 'package.json'), found.name)
  else if (found.oclif?.commands === undefined && found.oclif?.hooks === undefined)
    throw new MigrateError(
      'FM_PLUGIN_MANIFEST',
      `${found.name} is no plugin of ferrite-migrate`,
      'Its package.json has neither a `ferriteMigrate` block nor oclif commands.',
    )
  return { name: found.name, version: found.version ?? '', folder }
}
