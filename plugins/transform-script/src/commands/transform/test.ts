import { BaseCommand, ExitCode, Flags, readConfig, readFlags, withContext } from '@ferrite-migrate/cli-kit'
import { counted, MigrateError } from '@ferrite-migrate/contracts'
import { previewTransform } from '@ferrite-migrate/core'
import { previewJson, previewLines } from '../../render/transform-view.js'

const { target: _, transform: __, ...others } = readFlags

export default class TransformTest extends BaseCommand {
  static override description =
    'Show some keys of a source before and after the rules and the script, side by side; writes nothing'
  static override examples = [
    '<%= config.bin %> <%= command.id %> -t transform.yaml --source redis://source:6379 --keys "user:*" --limit 20',
    '<%= config.bin %> <%= command.id %> --transform-script transform.py --source rdb://dump.rdb',
  ]
  static override flags = {
    ...others,
    transform: Flags.string({ char: 't', description: 'File with rules for names and values', helpValue: '<FILE>' }),
    keys: Flags.string({
      char: 'k',
      description: 'Only keys matching this pattern',
      multiple: true,
      multipleNonGreedy: true,
      helpValue: '<PATTERN>',
    }),
    limit: Flags.integer({ description: 'Keys at most', default: 10, min: 1, max: 10_000 }),
  }

  async run(): Promise<{ keys: Record<string, unknown>[]; failed: number }> {
    const { flags } = await this.parse(TransformTest)
    const { keys: patterns, limit, source, ...rest } = flags
    if (source === undefined && flags.config === undefined)
      throw new MigrateError('FM_CONFIG_INVALID', '--source is missing', 'Give the server or file to take keys from.')
    const include = [...(flags.filter ?? []), ...(patterns ?? [])]
    const config = readConfig({
      ...rest,
      ...(source === undefined ? {} : { source }),
      // Nothing is written, so it does not matter where.
      target: 'ferrite://localhost',
      ...(include.length > 0 ? { filter: include } : {}),
    })
    const logger = await this.logger(flags, (text) => this.jsonEnabled() || process.stderr.write(`${text}\n`))
    const { keys, looked, more } = await withContext(
      { ...logger, log: (level, text, fields) => this.print(logger, level, text, fields) },
      (context) => previewTransform(config, this.registry(flags.plugin), context, limit),
    )
    const failed = keys.filter(({ error }) => error !== null).length
    if (keys.length > 0) this.log(previewLines(keys, process.stdout.columns ?? 100).join('\n'))
    else this.log(more ? `None of the first ${counted(looked, 'key')} matches.` : 'No key matches.')
    if (failed > 0) {
      this.log(`${failed} of ${keys.length} values cannot be transformed.`)
      process.exitCode = ExitCode.failed
    }
    return { keys: keys.map(previewJson), failed }
  }

  /** What a script prints is what its author wants to see here. */
  private print(
    logger: Awaited<ReturnType<BaseCommand['logger']>>,
    ...[level, text, fields]: Parameters<typeof logger.log>
  ): void {
    if (fields?.from === 'script' && !this.jsonEnabled()) process.stderr.write(`script: ${text}\n`)
    else logger.log(level, text, fields)
  }
}
