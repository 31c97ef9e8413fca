import { BaseCommand, columnsOf, queueFlags, table } from '@ferrite-migrate/cli-kit'
import { StateStore, type StoredMigration } from '@ferrite-migrate/core'

export default class List extends BaseCommand {
  static override description = 'List all migrations of this machine, newest first'
  static override examples = ['<%= config.bin %> <%= command.id %>']
  static override flags = queueFlags

  async run(): Promise<{ migrations: StoredMigration[] }> {
    const { flags } = await this.parse(List)
    const store = new StateStore(this.stateDir(flags['state-dir']))
    try {
      const migrations = store.list()
      if (migrations.length === 0) this.log('No migrations yet.')
      else {
        const rows = migrations.map(({ id, createdAt, source, target, mode, status }) => [
          id,
          new Date(createdAt).toISOString().slice(0, 19).replace('T', ' '),
          status.phase,
          mode,
          status.keysDone.toLocaleString('en-US'),
          `${source} -> ${target}`,
        ])
        const head = ['Migration', 'Started (UTC)', 'State', 'Mode', 'Keys', 'From, to']
        this.log(table(head, rows, columnsOf(process.stdout)).join('\n'))
      }
      return { migrations }
    } finally {
      store.close()
    }
  }
}
