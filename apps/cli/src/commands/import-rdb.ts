import type { MigrationReport, Plan } from '@ferrite-migrate/core'
import { fileUrlOf } from '@ferrite-migrate/files'
import { Args, Flags } from '@oclif/core'
import { importFlags, migrationConfig } from '../migrate-flags.js'
import { MigrationCommand } from '../migration-command.js'

export default class ImportRdb extends MigrationCommand {
  static override description = 'Import an RDB file (plain, .gz or .zst; - is standard input)'
  static override examples = [
    '<%= config.bin %> <%= command.id %> dump.rdb --target ferrite://localhost:6379',
    '<%= config.bin %> <%= command.id %> dump.rdb --target ferrite://localhost:6379 --filter "user:*" --transform-keys "prefix:{key}"',
    'zstd -dc dump.rdb.zst | <%= config.bin %> <%= command.id %> - --target ferrite://localhost:6379',
  ]
  static override args = { file: Args.string({ description: 'The RDB file, or -', required: true }) }
  static override flags = {
    ...importFlags,
    checksum: Flags.boolean({ description: 'Check the checksum over the whole file [default: yes]', allowNo: true }),
    inspect: Flags.boolean({
      description: 'Read the file once before anything is written, to list what the target cannot hold [default: yes]',
      allowNo: true,
    }),
  }

  async run(): Promise<MigrationReport | Plan> {
    const { args, flags } = await this.parse(ImportRdb)
    const options = [
      ...(flags['source-option'] ?? []),
      ...(flags.checksum === undefined ? [] : [`checksum=${flags.checksum}`]),
      ...(flags.inspect === undefined ? [] : [`inspect=${flags.inspect}`]),
    ]
    return this.migrate(
      migrationConfig(
        {
          ...flags,
          source: fileUrlOf('rdb', args.file),
          mode: 'snapshot',
          ...(options.length > 0 ? { 'source-option': options } : {}),
        },
        (flag) => this.stateDir(flag),
        flags['state-dir'],
      ),
      flags,
    )
  }
}
