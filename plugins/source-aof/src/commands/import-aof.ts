import { Args, Flags, importFlags, MigrationCommand, migrationConfig } from '@ferrite-migrate/cli-kit'
import type { MigrationReport, Plan } from '@ferrite-migrate/core'
import { fileUrlOf } from '@ferrite-migrate/files'

/** What needs values and names of the state, not commands. */
const NEED_VALUES = [
  'after',
  'transform',
  'transform-script',
  'transform-keys',
  'db-map',
  'type',
  'expiry',
  'min-size',
  'max-size',
  'min-ttl',
  'max-ttl',
] as const

export default class ImportAof extends MigrationCommand {
  static override description = 'Import an append-only file, an appendonlydir, or its manifest; also as of a moment'
  static override examples = [
    '<%= config.bin %> <%= command.id %> appendonly.aof --target ferrite://localhost:6379',
    '<%= config.bin %> <%= command.id %> appendonlydir --target redis://localhost:6379 --before "2026-01-15T00:00:00Z"',
  ]
  static override args = { file: Args.string({ description: 'The file or directory', required: true }) }
  static override flags = {
    ...importFlags,
    before: Flags.string({ description: 'The state at this moment', helpValue: '<TIME>' }),
    after: Flags.string({ description: 'Only keys touched after this moment', helpValue: '<TIME>' }),
    rebuild: Flags.boolean({
      description:
        'Rebuild the state in a redis-server of our own and copy that, instead of replaying the commands [default: where it is needed]',
      allowNo: true,
    }),
    scratch: Flags.string({ description: 'Program of that server', helpValue: '<PATH>' }),
    checksum: Flags.boolean({ description: 'Check the checksum of an RDB in it [default: yes]', allowNo: true }),
  }

  async run(): Promise<MigrationReport | Plan> {
    const { args, flags } = await this.parse(ImportAof)
    const { before, after, scratch } = flags
    // Commands can be replayed only where they mean the same, and under their own names.
    const needed = /^ferrites?:/i.test(flags.target ?? '') || NEED_VALUES.some((name) => flags[name] !== undefined)
    const rebuild = flags.rebuild ?? needed
    const options = [
      ...(flags['source-option'] ?? []),
      ...(before === undefined ? [] : [`before=${before}`]),
      ...(after === undefined ? [] : [`after=${after}`]),
      ...(scratch === undefined ? [] : [`scratch=${scratch}`]),
      ...(flags.checksum === undefined ? [] : [`checksum=${flags.checksum}`]),
      `rebuild=${rebuild}`,
    ]
    return this.migrate(
      migrationConfig(
        {
          ...flags,
          source: fileUrlOf('aof', args.file),
          mode: rebuild ? 'snapshot' : 'live',
          'source-option': options,
        },
        (flag) => this.stateDir(flag),
        flags['state-dir'],
      ),
      flags,
    )
  }
}
