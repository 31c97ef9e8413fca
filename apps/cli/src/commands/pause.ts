import { BaseCommand, commandAgain, queueFlags } from '@ferrite-migrate/cli-kit'
import { askRunning } from '../ask-running.js'
import { idFlag, whichMigration } from '../which-migration.js'

export default class Pause extends BaseCommand {
  static override description = 'Stop writing to the target until `resume`; the source is still followed'
  static override examples = ['<%= config.bin %> <%= command.id %> --id mig_abc123']
  static override flags = { ...queueFlags, id: idFlag }

  async run(): Promise<{ id: string; paused: boolean }> {
    const { flags } = await this.parse(Pause)
    const id = whichMigration(this.stateDir(flags['state-dir']), flags.id, 'running', (text) => this.sayWhich(text))
    await askRunning(this.stateDir(flags['state-dir']), id, 'pause', { follow: this.follow })
    const again = commandAgain(`resume --id ${id}`, { stateDir: flags['state-dir'], queue: flags.queue })
    this.log(`Paused. Changes are kept on disk; go on with: ${again}`)
    return { id, paused: true }
  }
}
