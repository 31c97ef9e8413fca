import {
  Args,
  adapterOptions,
  Flags,
  importFlags,
  type MigrateFlagValues,
  MigrationCommand,
  migrationConfig,
  withContext,
} from '@ferrite-migrate/cli-kit'
import { MigrateError, type SnapshotRecord } from '@ferrite-migrate/contracts'
import type { MigrationReport, Plan } from '@ferrite-migrate/core'
import { fileUrlOf, rowScheme } from '@ferrite-migrate/files'
import { rowFlags, rowOptions } from '../import-flags.js'
import { commandLines } from '../render/command-view.js'

const { type: _, ttl: _ttl, 'ttl-factor': _factor, ...others } = importFlags
/** Records that --dry-run shows. */
const SHOWN = 5

export default class Import extends MigrationCommand {
  static override description = 'Import JSON, NDJSON, CSV or TSV (plain, .gz or .zst; - is standard input)'
  static override examples = [
    "<%= config.bin %> <%= command.id %> users.csv --key 'user:{id}' --target ferrite://localhost:6379",
    '<%= config.bin %> <%= command.id %> scores.ndjson --key board --type zset --member name --score points -t ferrite://localhost:6379',
    '<%= config.bin %> <%= command.id %> export.ndjson.gz -t ferrite://localhost:6379',
    "zcat users.csv.gz | <%= config.bin %> <%= command.id %> - --format csv --key 'user:{id}' -t ferrite://localhost:6379 --dry-run",
  ]
  static override args = { file: Args.string({ description: 'The file, or -', required: true }) }
  static override flags = {
    ...others,
    ...rowFlags,
    format: Flags.string({
      description: 'Layout [default: by the name of the file]',
      options: ['json', 'ndjson', 'csv', 'tsv'],
    }),
  }

  async run(): Promise<MigrationReport | Plan> {
    const { args, flags } = await this.parse(Import)
    const scheme = flags.format ?? rowScheme(args.file)
    if (scheme === null)
      throw new MigrateError(
        'FM_CONFIG_INVALID',
        'the name of the file does not tell its layout',
        'Name it .json, .ndjson, .csv or .tsv (.gz and .zst may follow), or give --format.',
      )
    const source = fileUrlOf(scheme, args.file)
    // Of a row: its adapter's option, not the rule for ends of keys.
    const { type: __, ttl: ___, ...rest } = flags
    const options = [...(flags['source-option'] ?? []), ...rowOptions(flags)]
    const values: MigrateFlagValues = {
      ...rest,
      source,
      mode: 'snapshot',
      ...(options.length > 0 ? { 'source-option': options } : {}),
    }
    const config = migrationConfig(values, (flag) => this.stateDir(flag), flags['state-dir'])
    if (flags['dry-run'] && args.file !== '-') await this.show(source, options, flags)
    return this.migrate(config, flags)
  }

  /** The first rows as the commands that they become. */
  private async show(source: string, options: readonly string[], flags: { plugin?: string[] }): Promise<void> {
    const logger = await this.logger({}, () => undefined)
    await withContext(logger, async (context) => {
      const opened = await this.registry(flags.plugin).source(source, {}, adapterOptions(options), context)
      const first: SnapshotRecord[] = []
      for (const shard of opened.shards)
        for await (const event of shard.read({ signal: context.signal, changes: false })) {
          if (event.kind === 'snapshot') first.push(...event.records)
          if (first.length >= SHOWN) break
        }
      await opened[Symbol.asyncDispose]()
      this.log('The first rows become:')
      for (const record of first.slice(0, SHOWN)) for (const line of commandLines(record)) this.log(`  ${line}`)
      this.log('')
    })
  }
}
