import { BaseCommand } from '@ferrite-migrate/cli-kit'
import { Args, Flags } from '@ferrite-migrate/cli-kit/oclif'
import { type MigrationConfig, readConfigFile, redactUrl, resolveConfig } from '@ferrite-migrate/core'

export default class ConfigValidate extends BaseCommand {
  static override description = 'Check a configuration file without running it'
  static override examples = ['<%= config.bin %> <%= command.id %> migration.yaml']
  static override args = { file: Args.string({ description: 'The file [default: migration.yaml]' }) }
  static override flags = {
    config: Flags.string({ char: 'c', description: 'The same as the argument', helpValue: '<FILE>' }),
  }

  async run(): Promise<{ valid: true; file: string; source: string; target: string }> {
    const { args, flags } = await this.parse(ConfigValidate)
    const file = args.file ?? flags.config ?? 'migration.yaml'
    const config: MigrationConfig = readConfigFile(file)
    const { source, target, mode } = resolveConfig(config)
    this.log(`${file} is valid: ${redactUrl(source)} -> ${redactUrl(target)}, ${mode}.`)
    return { valid: true, file, source: redactUrl(source), target: redactUrl(target) }
  }
}
