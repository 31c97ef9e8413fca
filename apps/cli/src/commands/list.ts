import { StateStore, type StoredMigration } from '@ferrite-migrate/core'
import { BaseCommand } from '../base-command.js'

export default class List extends BaseCommand {
  static override description = 'List all migrations of this machine, newest first'
  static override examples = ['<%= config.bin %> <%= command.id %>']
  static override flags = {}

  async run(): Promise<{ migrations: StoredMigration[] }> {
    const { flags } = await this.parse(List)
    const store = new StateStore(this.stateDir(flags['state-dir']))
    try {
      const migrations = store.list()
      if (migrations.length === 0) this.log('No migrations yet.')
      for (const { id, createdAt, source, target, mode, status } of migrations)
        this.log(
          `${id.padEnd(16)} ${new Date(createdAt).toISOString().slice(0, 19)}  ${status.phase.padEnd(12)} ${mode.padEnd(8)} ${source} -> ${target}`,
        )
      return { migrations }
    } finally {
      store.close()
    }
  }
}
