import { htmlReport, StateStore } from '@ferrite-migrate/core'
import { Flags } from '@oclif/core'
import { BaseCommand } from '../base-command.js'
import { writeWhole } from '../write-file.js'

export default class Report extends BaseCommand {
  static override description = 'Write a report of a migration as one HTML page, with charts of rate and lag'
  static override examples = ['<%= config.bin %> <%= command.id %> --id mig_abc123 --output report.html']
  static override flags = {
    id: Flags.string({ description: 'Name of the migration', required: true }),
    output: Flags.string({ char: 'o', description: 'File to write [default: <id>.html]', helpValue: '<FILE>' }),
  }

  async run(): Promise<{ id: string; file: string }> {
    const { flags } = await this.parse(Report)
    const file = flags.output ?? `${flags.id}.html`
    const store = new StateStore(this.stateDir(flags['state-dir']))
    try {
      const migration = store.get(flags.id)
      const page = htmlReport(migration, store.samples(flags.id), store.events(flags.id), store.passes(flags.id))
      writeWhole(file, page)
      this.log(`The report is in ${file}.`)
      return { id: flags.id, file }
    } finally {
      store.close()
    }
  }
}
