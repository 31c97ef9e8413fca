import { StateStore, type StoredEvent } from '@ferrite-migrate/core'
import { Flags } from '@oclif/core'
import { BaseCommand } from '../base-command.js'

export default class Events extends BaseCommand {
  static override description = 'Print the audit trail of a migration: what happened, when, and by whom'
  static override examples = ['<%= config.bin %> <%= command.id %> --id mig_abc123']
  static override flags = { id: Flags.string({ description: 'Name of the migration', required: true }) }

  async run(): Promise<{ id: string; events: StoredEvent[] }> {
    const { flags } = await this.parse(Events)
    const store = new StateStore(this.stateDir(flags['state-dir']))
    try {
      store.get(flags.id)
      const events = store.events(flags.id)
      for (const { at, type, text, actor } of events)
        this.log(`${new Date(at).toISOString()}  ${type.padEnd(18)} ${text}${actor === '' ? '' : `  [${actor}]`}`)
      return { id: flags.id, events }
    } finally {
      store.close()
    }
  }
}
