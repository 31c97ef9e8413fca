import { Flags } from '@oclif/core'
import { askRunning } from '../ask-running.js'
import { BaseCommand } from '../base-command.js'

export default class Pause extends BaseCommand {
  static override description = 'Stop writing to the target until `resume`; the source is still followed'
  static override examples = ['<%= config.bin %> <%= command.id %> --id mig_abc123']
  static override flags = { id: Flags.string({ description: 'Name of the migration', required: true }) }

  async run(): Promise<{ id: string; paused: boolean }> {
    const { flags } = await this.parse(Pause)
    await askRunning(this.stateDir(flags['state-dir']), flags.id, 'pause')
    this.log(`Paused. Changes are kept on disk; go on with: ferrite-migrate resume --id ${flags.id}`)
    return { id: flags.id, paused: true }
  }
}
