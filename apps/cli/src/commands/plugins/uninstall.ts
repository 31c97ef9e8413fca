import { Args, BaseCommand, PluginInstaller } from '@ferrite-migrate/cli-kit'

export default class PluginsUninstall extends BaseCommand {
  static override description = 'Remove plugins that were installed or linked with `plugins`'
  static override examples = ['<%= config.bin %> <%= command.id %> @ferrite-migrate/source-memcached']
  static override args = { plugin: Args.string({ description: 'Name of the package', required: true }) }
  static override strict = false

  async run(): Promise<{ removed: string[] }> {
    const { argv } = await this.parse(PluginsUninstall)
    const installer = new PluginInstaller(this.config.dataDir)
    const removed: string[] = []
    for (const name of argv.map(String)) {
      await installer.uninstall(name)
      removed.push(name)
      this.log(`Removed ${name}.`)
    }
    return { removed }
  }
}
