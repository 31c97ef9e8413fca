import { Args, BaseCommand, type InstalledPlugin, PluginInstaller } from '@ferrite-migrate/cli-kit'
import { KNOWN_PLUGINS } from '@ferrite-migrate/core'

export default class PluginsInstall extends BaseCommand {
  static override description = 'Install plugins for yourself, with npm and without running their scripts'
  static override examples = [
    '<%= config.bin %> <%= command.id %> @ferrite-migrate/source-memcached',
    '<%= config.bin %> <%= command.id %> some-plugin@1.2.0 ./other-plugin-1.0.0.tgz',
  ]
  static override args = {
    plugin: Args.string({ description: 'As npm takes it: a name, name@version, a tarball', required: true }),
  }
  static override strict = false

  async run(): Promise<{ plugins: InstalledPlugin[] }> {
    const { argv } = await this.parse(PluginsInstall)
    const installer = new PluginInstaller(this.config.dataDir)
    const plugins: InstalledPlugin[] = []
    for (const spec of argv.map(String)) {
      // What belongs to this release of the program; others are the user's to choose.
      const known = KNOWN_PLUGINS.some(({ name }) => name === spec)
      const installed = await installer.install(known ? `${spec}@^${this.config.version}` : spec)
      plugins.push(installed)
      this.log(`Installed ${installed.name} ${installed.version}.`)
    }
    return { plugins }
  }
}
