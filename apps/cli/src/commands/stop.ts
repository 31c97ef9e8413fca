import { BaseCommand, commandAgain, queueFlags } from '@ferrite-migrate/cli-kit'
import { StateStore } from '@ferrite-migrate/core'
import { askRunning } from '../ask-running.js'
import { idFlag, whichMigration } from '../which-migration.js'

export default class Stop extends BaseCommand {
  static override description =
    'Stop a migration wherever it runs, also one that a dashboard or a program began: what was read is written, and --resume goes on'
  static override examples = ['<%= config.bin %> <%= command.id %> --id mig_abc123']
  static override flags = { ...queueFlags, id: idFlag }

  private isInterrupted(id: string, stateDir: string | undefined): boolean {
    const store = new StateStore(this.stateDir(stateDir))
    try {
      return store.find(id)?.status.state === 'INTERRUPTED'
    } finally {
      store.close()
    }
  }

  async run(): Promise<{ id: string; stopped: boolean }> {
    const { flags } = await this.parse(Stop)
    const id = whichMigration(this.stateDir(flags['state-dir']), flags.id, 'running', (text) => this.sayWhich(text))
    // Workers of a queue that are all away would go on with it when they come back.
    if (this.sharedState !== null && this.isInterrupted(id, flags['state-dir']))
      await (await this.sharedState.take(id, async () => undefined))()
    else await askRunning(this.stateDir(flags['state-dir']), id, 'stop', { follow: this.follow })
    const again = commandAgain(`migrate --resume ${id}`, { stateDir: flags['state-dir'], queue: flags.queue })
    this.log(`Stopping. Go on with: ${again}`)
    return { id, stopped: true }
  }
}
