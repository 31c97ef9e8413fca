import {
  BaseCommand,
  Flags,
  formatBytes,
  formatCount,
  ProgressLine,
  readConfig,
  readFlags,
  withContext,
} from '@ferrite-migrate/cli-kit'
import { MigrateError } from '@ferrite-migrate/contracts'
import { type ExportFormat, type ExportReport, exportFormatOf, runExport } from '../index.js'

const { target: _, ...flags } = readFlags

export default class Export extends BaseCommand {
  static override description = 'Write a snapshot of a source to a file: NDJSON, CSV, commands, or an RDB'
  static override examples = [
    '<%= config.bin %> <%= command.id %> --source redis://source:6379 --output data.ndjson.gz',
    '<%= config.bin %> <%= command.id %> --source redis://source:6379 --output dump.rdb --filter "user:*"',
  ]
  static override flags = {
    ...flags,
    output: Flags.string({ char: 'o', description: 'The file, or -', required: true, helpValue: '<FILE>' }),
    format: Flags.string({
      description: 'Layout [default: by the name of the file]',
      options: ['ndjson', 'csv', 'resp', 'rdb'],
    }),
  }

  async run(): Promise<ExportReport> {
    const { flags } = await this.parse(Export)
    const { output, format: given, ...rest } = flags
    const format = (given as ExportFormat | undefined) ?? exportFormatOf(output)
    if (format === null)
      throw new MigrateError(
        'FM_CONFIG_INVALID',
        'the name of the file does not tell its layout',
        'Name it .ndjson, .csv, .resp or .rdb (.gz and .zst are compressed), or give --format.',
      )
    const config = readConfig({ ...rest, target: 'ferrite://localhost' })
    const logger = await this.logger(flags, (text) => this.jsonEnabled() || process.stderr.write(`${text}\n`))
    const progress = new ProgressLine(this.jsonEnabled())
    const report = await withContext(logger, (context) =>
      runExport({
        config,
        registry: this.registry(flags.plugin),
        context,
        output,
        format,
        onProgress: (keys: number, total: number | null) => progress.show('keys exported', keys, total),
      }),
    ).finally(() => progress.end())
    if (output !== '-') {
      this.log(`${formatCount(report.keys)} keys, ${formatBytes(report.bytes)} as ${format}: ${output}`)
      for (const [what, count] of Object.entries(report.leftOut)) this.log(`Left out: ${formatCount(count)} x ${what}`)
    }
    return report
  }
}
