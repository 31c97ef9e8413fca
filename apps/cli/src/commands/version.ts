import { BaseCommand } from '@ferrite-migrate/cli-kit'
import { examineInstallation, type Installation } from '../installation/installation.js'
import { versionLines } from '../render/installation-view.js'

export default class Version extends BaseCommand {
  static override description =
    'Show the version; with --verbose or --json also Node, platform, plugins and their contract, for bug reports'
  static override examples = [
    '<%= config.bin %> <%= command.id %>',
    '<%= config.bin %> <%= command.id %> --verbose',
    '<%= config.bin %> <%= command.id %> --json',
  ]

  async run(): Promise<Installation> {
    const { flags } = await this.parse(Version)
    const installation = examineInstallation(this.config, this.stateDir(flags['state-dir']))
    this.log(
      versionLines(installation)
        .slice(0, flags.verbose ? undefined : 1)
        .join('\n'),
    )
    return installation
  }
}
