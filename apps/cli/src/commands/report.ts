import { BaseCommand, queueFlags, writeWhole } from '@ferrite-migrate/cli-kit'
import { Flags } from '@ferrite-migrate/cli-kit/oclif'
import { MigrateError } from '@ferrite-migrate/contracts'
import { htmlReport, markdownReport, migrationDetails, StateStore } from '@ferrite-migrate/core'
import { idFlag, whichMigration } from '../which-migration.js'

export default class Report extends BaseCommand {
  static override description =
    'Write a report of a migration: one HTML page with charts of rate and lag, or Markdown for a ticket or the summary of a job'
  static override examples = [
    '<%= config.bin %> <%= command.id %> --id mig_abc123 --output report.html',
    '<%= config.bin %> <%= command.id %> --id mig_abc123 --output report.md',
  ]
  static override flags = {
    ...queueFlags,
    id: idFlag,
    output: Flags.string({
      char: 'o',
      description: 'File to write, .html or .md [default: <id>.html]',
      helpValue: '<FILE>',
    }),
  }

  async run(): Promise<{ id: string; file: string }> {
    const { flags } = await this.parse(Report)
    const id = whichMigration(this.stateDir(flags['state-dir']), flags.id, 'any', (text) => this.sayWhich(text))
    const file = flags.output ?? `${id}.html`
    if (flags.output !== undefined && !/\.(html?|md)$/i.test(flags.output))
      throw new MigrateError(
        'FM_OPTION_VALUE',
        `${flags.output} is named neither as a page nor as Markdown`,
        'Name it .html or .md. Figures for programs: status --json and events --json.',
      )
    const store = new StateStore(this.stateDir(flags['state-dir']))
    try {
      const migration = store.get(id)
      const details = migrationDetails(store.details(id))
      const page = /\.md$/i.test(file)
        ? markdownReport(migration, details)
        : htmlReport(migration, details, store.samples(id), store.events(id), store.passes(id))
      writeWhole(file, page)
      this.log(`The report is in ${file}.`)
      return { id, file }
    } finally {
      store.close()
    }
  }
}
