import { BaseCommand, loadedPlugins, PluginInstaller } from '@ferrite-migrate/cli-kit'
import { type AdapterSpec, parseManifest } from '@ferrite-migrate/contracts'

interface PluginRow {
  readonly name: string
  readonly version: string
  /** Adapters and commands. */
  readonly brings: readonly string[]
  readonly from: 'program' | 'installed' | 'linked'
  readonly folder: string
}

export default class Plugins extends BaseCommand {
  static override description = 'List the plugins: what each brings, and where it came from'
  static override examples = ['<%= config.bin %> <%= command.id %>', '<%= config.bin %> <%= command.id %> --json']

  async run(): Promise<{ plugins: PluginRow[] }> {
    await this.parse(Plugins)
    const own = new PluginInstaller(this.config.dataDir).list()
    const plugins = loadedPlugins(this.config)
      .map(({ name, root, packageJson }): PluginRow => {
        const given = own.find((one) => one.name === name && one.folder === root)
        const manifest = packageJson.ferriteMigrate
        const adapters = manifest === undefined ? [] : parseManifest(manifest, root, name).adapters.map(adapterText)
        const commands = this.config.commands
          .filter(({ pluginName }) => pluginName === name)
          .map(({ id }) => id.replaceAll(':', ' '))
        return {
          name,
          version: String(packageJson.version ?? ''),
          brings: [...adapters, ...commands],
          from: given === undefined ? 'program' : given.type === 'link' ? 'linked' : 'installed',
          folder: root,
        }
      })
      .filter(({ brings }) => brings.length > 0)
    for (const { name, version, brings, from, folder } of plugins) {
      const where = from === 'program' ? '' : from === 'linked' ? `, linked to ${folder}` : ', installed by you'
      this.log(`${name} ${version}${where}`)
      this.log(`  ${brings.join(', ')}`)
    }
    return { plugins }
  }
}

function adapterText({ kind, name, schemes }: AdapterSpec): string {
  return schemes.length === 0 ? `${kind} ${name}` : `${kind} ${schemes[0]}://`
}
