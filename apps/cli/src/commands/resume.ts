import { Flags } from '@oclif/core'
import { askRunning } from '../ask-running.js'
import { BaseCommand } from '../base-command.js'

export default class Resume extends BaseCommand {
  static override description = 'Go on after `pause` (a migration whose process is gone: migrate --resume)'
  static override examples = ['<%= config.bin %> <%= command.id %> --id mig_abc123']
  static override flags = { id: Flags.string({ description: 'Name of the migration', required: true }) }

  async run(): Promise<{ id: string; paused: boolean }> {
    const { flags } = await this.parse(Resume)
    await askRunning(this.stateDir(flags['state-dir']), flags.id, 'resume')
    this.log('Going on.')
    return { id: flags.id, paused: false }
  }
}
