import {
  Args,
  ExitCode,
  Flags,
  type Interfaces,
  importFlags,
  MigrationCommand,
  migrationConfig,
  type RunFlags,
  usageError,
} from '@ferrite-migrate/cli-kit'
import { MigrateError } from '@ferrite-migrate/contracts'
import { Migration, type MigrationConfig, type MigrationReport, type Plan } from '@ferrite-migrate/core'
import { fileUrlOf } from '@ferrite-migrate/files'

type ImportFlags = Interfaces.InferredFlags<typeof ImportRdb.flags> & RunFlags

/** Of several files the one that an error is about. */
function ofFile(error: unknown, file: string): unknown {
  if (!(error instanceof MigrateError)) return error
  const { code, message, hint, retryable } = error
  return new MigrateError(code, `${file}: ${message}`, hint, { retryable, cause: error })
}

export default class ImportRdb extends MigrationCommand {
  static override description = 'Import an RDB file (plain, .gz or .zst; - is standard input)'
  static override examples = [
    '<%= config.bin %> <%= command.id %> dump.rdb --target ferrite://localhost:6379',
    '<%= config.bin %> <%= command.id %> dump.rdb --target ferrite://localhost:6379 --filter "user:*" --transform-keys "prefix:{key}"',
    '<%= config.bin %> <%= command.id %> shard-1.rdb shard-2.rdb shard-3.rdb --target ferrite://localhost:6379',
    'zstd -dc dump.rdb.zst | <%= config.bin %> <%= command.id %> - --target ferrite://localhost:6379',
  ]
  static override args = {
    file: Args.string({ description: 'The RDB file, or -; several are imported one after the other', required: true }),
  }
  static override strict = false
  static override flags = {
    ...importFlags,
    checksum: Flags.boolean({ description: 'Check the checksum over the whole file [default: yes]', allowNo: true }),
    inspect: Flags.boolean({
      description: 'Read the file once before anything is written, to list what the target cannot hold [default: yes]',
      allowNo: true,
    }),
  }

  async run(): Promise<MigrationReport | Plan | { readonly files: readonly (MigrationReport | Plan)[] }> {
    const { argv, flags } = await this.parse(ImportRdb)
    const files = argv.map(String)
    const flag = files.find((word) => word.startsWith('-') && word !== '-')
    if (flag !== undefined)
      throw usageError(new Error(`Nonexistent flag: ${flag}`), 'import-rdb', Object.keys(ImportRdb.flags))
    const configs = files.map((file, i) => this.configOf(file, flags, files.length === 1 ? null : i + 1))
    if (configs.length === 1) return this.migrate(configs[0], flags)
    this.refuseWhatNeedsOne(files, flags)
    // All of them are looked at before the first row of any is written.
    if (!flags['dry-run'])
      for (const [i, config] of configs.entries())
        await this.mustStart(config, flags).catch((error) => {
          throw ofFile(error, files[i])
        })
    const reports: (MigrationReport | Plan)[] = []
    let code = 0
    for (const [i, config] of configs.entries()) {
      this.log(`${i === 0 ? '' : '\n'}File ${i + 1} of ${files.length}: ${files[i]}`)
      reports.push(
        await this.migrate(config, flags).catch((error) => {
          throw ofFile(error, files[i])
        }),
      )
      code ||= Number(process.exitCode ?? 0)
      process.exitCode = code
      if (code === ExitCode.interrupted) break
    }
    return { files: reports }
  }

  /** @param number of the file among several, which are imported one after the other under names of their own */
  private configOf(file: string, flags: ImportFlags, number: number | null): MigrationConfig {
    const options = [
      ...(flags['source-option'] ?? []),
      ...(flags.checksum === undefined ? [] : [`checksum=${flags.checksum}`]),
      ...(flags.inspect === undefined ? [] : [`inspect=${flags.inspect}`]),
    ]
    return migrationConfig(
      {
        ...flags,
        source: fileUrlOf('rdb', file),
        mode: 'snapshot',
        ...(flags.id === undefined || number === null ? {} : { id: `${flags.id}-${number}` }),
        ...(options.length > 0 ? { 'source-option': options } : {}),
      },
      (directory) => this.stateDir(directory),
      flags['state-dir'],
    )
  }

  private refuseWhatNeedsOne(files: readonly string[], flags: ImportFlags): void {
    const twice = files.find((file, i) => files.indexOf(file) < i)
    const wrong =
      flags['delete-extra'] === true
        ? ['--delete-extra would delete what another file brought', 'Import the files without it.']
        : flags.resume !== undefined
          ? ['--resume goes on with one file', 'Give that file alone.']
          : files.includes('-')
            ? ['standard input is one file', 'Give it alone.']
            : twice !== undefined
              ? [`${twice} is named twice`, 'Name each file once.']
              : null
    if (wrong !== null) throw new MigrateError('FM_OPTION_VALUE', wrong[0], wrong[1])
  }

  /** @throws MigrateError what would refuse this file */
  private async mustStart(config: MigrationConfig, flags: ImportFlags): Promise<void> {
    const plan = await new Migration(config, { registry: this.registry(flags.plugin) }).dryRun()
    const refusal = plan.findings.find(({ level }) => level === 'fail')
    if (refusal !== undefined)
      throw new MigrateError(
        'FM_PREFLIGHT_REFUSED',
        `${plan.source}: ${refusal.text}`,
        'Nothing was imported, of the other files either.',
      )
  }
}
