import { MigrationCommand, migrateFlags, migrationConfig } from '@ferrite-migrate/cli-kit'
import type { MigrationReport, Plan } from '@ferrite-migrate/core'

export default class Migrate extends MigrationCommand {
  static override description = 'Move the data of a source into a target, live or as a snapshot'
  static override examples = [
    '<%= config.bin %> <%= command.id %> --source redis://source:6379 --target ferrite://target:6379 --mode live',
    '<%= config.bin %> <%= command.id %> -s redis://source:6379 -t ferrite://target:6379 -m snapshot --verify',
  ]
  static override flags = migrateFlags

  async run(): Promise<MigrationReport | Plan> {
    const { flags } = await this.parse(Migrate)
    return this.migrate(
      migrationConfig(flags, (flag) => this.stateDir(flag), flags['state-dir']),
      flags,
    )
  }
}
