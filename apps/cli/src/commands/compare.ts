import {
  BaseCommand,
  comparisonFlags,
  comparisonLines,
  comparisonProgress,
  confirmed,
  ExitCode,
  readConfig,
  ttlToleranceMs,
  withContext,
  writeWhole,
  yesFlag,
} from '@ferrite-migrate/cli-kit'
import { Flags } from '@ferrite-migrate/cli-kit/oclif'
import { MigrateError } from '@ferrite-migrate/contracts'
import {
  Comparison,
  type ComparisonReport,
  htmlComparison,
  type KeyDifference,
  openForReading,
  redactUrl,
} from '@ferrite-migrate/core'
import { DifferenceFile } from '../difference-file.js'

const SHOWN = 20
const IN_HTML = 2000

export default class Compare extends BaseCommand {
  static override description =
    'Compare values deeply: which field, element, score, entry differs; exit code 3 on differences'
  static override examples = [
    '<%= config.bin %> <%= command.id %> --source redis://source:6379 --target ferrite://target:6379 --keys "user:*" --output diff.json',
    '<%= config.bin %> <%= command.id %> --source redis://source:6379 --target ferrite://target:6379 --repair --dry-run',
  ]
  static override flags = {
    ...comparisonFlags,
    keys: Flags.string({
      char: 'k',
      description: 'Keys to compare, as a pattern; the same as --filter',
      multiple: true,
      multipleNonGreedy: true,
      helpValue: '<PATTERN>',
    }),
    output: Flags.string({
      char: 'o',
      description: 'File for all differences; .ndjson = one line a key',
      helpValue: '<FILE>',
    }),
    html: Flags.string({ description: 'Write the differences as one HTML page', helpValue: '<FILE>' }),
    repair: Flags.boolean({ description: "Copy the source's value to the target, and compare again" }),
    'delete-extra': Flags.boolean({
      description: 'With --repair: delete keys that only the target has',
      dependsOn: ['repair'],
    }),
    'dry-run': Flags.boolean({ description: 'With --repair: only say what would be repaired', dependsOn: ['repair'] }),
    yes: yesFlag,
  }

  async run(): Promise<ComparisonReport & { differences: KeyDifference[] }> {
    const { flags } = await this.parse(Compare)
    const config = readConfig({ ...flags, filter: [...(flags.filter ?? []), ...(flags.keys ?? [])] })
    const progress = comparisonProgress(this.jsonEnabled())
    const logger = await this.logger(flags, (text) => this.jsonEnabled() || process.stderr.write(`${text}\n`))
    const registry = this.registry(flags.plugin)
    const [source, target] = [redactUrl(config.source), redactUrl(config.target)]
    const kept: KeyDifference[] = []
    const most = flags.html === undefined ? SHOWN : IN_HTML
    const repairing = flags.repair && !flags['dry-run']
    if (repairing)
      await confirmed(
        `Write the source's values over what differs at ${target}${flags['delete-extra'] ? ', and delete keys that only it has' : ''}?`,
        flags,
        this.jsonEnabled(),
      )
    const report = await withContext(logger, async (context) => {
      const ends = await openForReading(config, registry, context)
      if (ends.sourceReader === null) {
        await ends.close()
        throw new MigrateError(
          'FM_VERIFY_UNSUPPORTED',
          'a file cannot be compared key by key',
          'Use verify, which reads it from start to end.',
        )
      }
      const { sourceReader } = ends
      const writer = repairing ? await registry.target(config.target, {}, config.targetOptions, context) : null
      const file = flags.output === undefined ? null : new DifferenceFile(flags.output, source, target)
      try {
        return await new Comparison({
          source: sourceReader,
          target: ends.targetReader,
          filter: ends.filter,
          transform: ends.transform,
          ttlToleranceMs: ttlToleranceMs(flags['ttl-tolerance']),
          rounds: flags.rounds,
          signal: context.signal,
          repair: writer,
          deleteExtra: flags['delete-extra'],
          onDifference: (difference) => {
            if (kept.length < most) kept.push(difference)
            file?.add(difference)
          },
          onProgress: progress.onProgress,
        }).run()
      } finally {
        file?.close()
        await writer?.[Symbol.asyncDispose]()
        await ends.close()
      }
    }).finally(progress.end)
    this.log(
      comparisonLines(report, kept.slice(0, SHOWN), flags.output, repairing, process.stdout.columns ?? 120).join('\n'),
    )
    if (flags['dry-run'] && report.different > 0) this.log('Nothing was repaired (--dry-run).')
    if (flags.html !== undefined) writeWhole(flags.html, htmlComparison(source, target, report, kept))
    const mended = repairing && report.repaired === report.different && report.stillDifferent === 0
    if (report.nothing || (report.different > 0 && !mended)) process.exitCode = ExitCode.differences
    return { ...report, differences: kept }
  }
}
