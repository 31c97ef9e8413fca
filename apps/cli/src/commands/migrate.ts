import { MigrationCommand, migrateFlags, migrationConfig, queueFlags } from '@ferrite-migrate/cli-kit'
import { Flags } from '@ferrite-migrate/cli-kit/oclif'
import type { MigrationConfig, MigrationReport, Plan } from '@ferrite-migrate/core'

interface GivenPlaces {
  readonly queue?: string | undefined
  readonly 'state-dir'?: string | undefined
}

export default class Migrate extends MigrationCommand {
  static override description = 'Move the data of a source into a target, live or as a snapshot'
  static override examples = [
    '<%= config.bin %> <%= command.id %> --source redis://source:6379 --target ferrite://target:6379 --mode live',
    '<%= config.bin %> <%= command.id %> -s redis://source:6379 -t ferrite://target:6379 -m snapshot --verify',
  ]
  static override flags = {
    ...migrateFlags,
    ...queueFlags,
    detach: Flags.boolean({
      description: 'With --queue: leave as soon as the workers have the shards, and let them go on',
      dependsOn: ['queue'],
    }),
  }
  protected override readonly sharesState = false

  async run(): Promise<MigrationReport | Plan> {
    const { flags } = await this.parse(Migrate)
    return this.migrate(await this.configOf(flags), flags)
  }

  /** What was begun on another machine is known by the queue; the migration then deals with that by itself. */
  private async configOf(flags: Parameters<typeof migrationConfig>[0] & GivenPlaces): Promise<MigrationConfig> {
    const own = this.stateDir(flags['state-dir'])
    if (flags.queue !== undefined && flags.resume !== undefined) await this.openShared({ ...flags })
    const config = migrationConfig(flags, (flag) => this.stateDir(flag), flags['state-dir'])
    await this.closeShared()
    return flags.queue === undefined ? config : { ...config, queue: flags.queue, stateDir: own }
  }
}
