import { BaseCommand, queueFlags } from '@ferrite-migrate/cli-kit'
import { StateStore, type StoredEvent } from '@ferrite-migrate/core'
import { idFlag, whichMigration } from '../which-migration.js'

export default class Events extends BaseCommand {
  static override description = 'Print the audit trail of a migration: what happened, when, and by whom'
  static override examples = ['<%= config.bin %> <%= command.id %> --id mig_abc123']
  static override flags = { ...queueFlags, id: idFlag }

  async run(): Promise<{ id: string; events: StoredEvent[] }> {
    const { flags } = await this.parse(Events)
    const id = whichMigration(this.stateDir(flags['state-dir']), flags.id, 'any', (text) => this.sayWhich(text))
    const store = new StateStore(this.stateDir(flags['state-dir']))
    try {
      store.get(id)
      const events = store.events(id)
      for (const { at, type, text, actor } of events)
        this.log(`${new Date(at).toISOString()}  ${type.padEnd(18)} ${text}${actor === '' ? '' : `  [${actor}]`}`)
      return { id, events }
    } finally {
      store.close()
    }
  }
}
