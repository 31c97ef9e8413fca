import { BaseCommand, writeWhole } from '@ferrite-migrate/cli-kit'
import { MigrateError } from '@ferrite-migrate/contracts'
import { htmlReport, migrationDetails, StateStore } from '@ferrite-migrate/core'
import { Flags } from '@oclif/core'
import { idFlag, whichMigration } from '../which-migration.js'

export default class Report extends BaseCommand {
  static override description = 'Write a report of a migration as one HTML page, with charts of rate and lag'
  static override examples = ['<%= config.bin %> <%= command.id %> --id mig_abc123 --output report.html']
  static override flags = {
    id: idFlag,
    output: Flags.string({ char: 'o', description: 'File to write [default: <id>.html]', helpValue: '<FILE>' }),
  }

  async run(): Promise<{ id: string; file: string }> {
    const { flags } = await this.parse(Report)
    const id = whichMigration(this.stateDir(flags['state-dir']), flags.id, 'any', (text) => this.sayWhich(text))
    const file = flags.output ?? `${id}.html`
    if (flags.output !== undefined && !/\.html?$/i.test(flags.output))
      throw new MigrateError(
        'FM_OPTION_VALUE',
        `${flags.output} is not named as a page`,
        'The report is HTML: name it .html. Figures for programs: status --json and events --json.',
      )
    const store = new StateStore(this.stateDir(flags['state-dir']))
    try {
      const migration = store.get(id)
      const page = htmlReport(
        migration,
        migrationDetails(store.details(id)),
        store.samples(id),
        store.events(id),
        store.passes(id),
      )
      writeWhole(file, page)
      this.log(`The report is in ${file}.`)
      return { id, file }
    } finally {
      store.close()
    }
  }
}
