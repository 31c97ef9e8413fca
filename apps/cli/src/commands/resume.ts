import { BaseCommand, queueFlags } from '@ferrite-migrate/cli-kit'
import { askRunning } from '../ask-running.js'
import { idFlag, whichMigration } from '../which-migration.js'

export default class Resume extends BaseCommand {
  static override description = 'Go on after `pause` (a migration whose process is gone: migrate --resume)'
  static override examples = ['<%= config.bin %> <%= command.id %> --id mig_abc123']
  static override flags = { ...queueFlags, id: idFlag }

  async run(): Promise<{ id: string; paused: boolean }> {
    const { flags } = await this.parse(Resume)
    const id = whichMigration(this.stateDir(flags['state-dir']), flags.id, 'running', (text) => this.sayWhich(text))
    await askRunning(this.stateDir(flags['state-dir']), id, 'resume', { follow: this.follow })
    this.log('Going on.')
    return { id, paused: false }
  }
}
