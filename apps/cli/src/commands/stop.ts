import { BaseCommand, queueFlags } from '@ferrite-migrate/cli-kit'
import { askRunning } from '../ask-running.js'
import { idFlag, whichMigration } from '../which-migration.js'

export default class Stop extends BaseCommand {
  static override description =
    'Stop a migration wherever it runs, also one that a dashboard or a program began: what was read is written, and --resume goes on'
  static override examples = ['<%= config.bin %> <%= command.id %> --id mig_abc123']
  static override flags = { ...queueFlags, id: idFlag }

  async run(): Promise<{ id: string; stopped: boolean }> {
    const { flags } = await this.parse(Stop)
    const id = whichMigration(this.stateDir(flags['state-dir']), flags.id, 'running', (text) => this.sayWhich(text))
    await askRunning(this.stateDir(flags['state-dir']), id, 'stop', { follow: this.follow })
    this.log(`Stopping. Go on with: ferrite-migrate migrate --resume ${id}`)
    return { id, stopped: true }
  }
}
