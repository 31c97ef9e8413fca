import { Args, BaseCommand, type InstalledPlugin, PluginInstaller } from '@ferrite-migrate/cli-kit'

export default class PluginsLink extends BaseCommand {
  static override description = 'Use a folder as a plugin from now on, as while it is written'
  static override examples = ['<%= config.bin %> <%= command.id %> ./my-plugin']
  static override args = { folder: Args.string({ description: 'Folder of the package', required: true }) }

  async run(): Promise<InstalledPlugin> {
    const { args } = await this.parse(PluginsLink)
    const linked = new PluginInstaller(this.config.dataDir).link(args.folder)
    this.log(`Linked ${linked.name} ${linked.version} to ${linked.folder}.`)
    return linked
  }
}
