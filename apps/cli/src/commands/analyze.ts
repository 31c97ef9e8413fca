import {
  adapterOptions,
  BaseCommand,
  formatBytes,
  formatCount,
  migrateFlags,
  ProgressLine,
  sourceAnalysisLines,
  withContext,
  writeWhole,
} from '@ferrite-migrate/cli-kit'
import { Flags } from '@ferrite-migrate/cli-kit/oclif'
import {
  analyzeSource,
  htmlAnalysis,
  openEnds,
  redactUrl,
  resolveConfig,
  type SourceAnalysis,
} from '@ferrite-migrate/core'

export default class Analyze extends BaseCommand {
  static override description =
    'Analyze source before migration: what it holds, whether a target can take it, how long it takes'
  static override examples = [
    '<%= config.bin %> <%= command.id %> --source redis://source:6379',
    '<%= config.bin %> <%= command.id %> --source redis://source:6379 --target ferrite://target:6379 --full --html report.html',
  ]
  static override flags = {
    source: Flags.string({ char: 's', description: 'Source connection string', required: true, helpValue: '<SOURCE>' }),
    target: Flags.string({
      char: 't',
      description: 'Target to check it against, and to time a short write test with',
      helpValue: '<TARGET>',
    }),
    sample: Flags.integer({ description: 'Keys to look at', default: 100_000, min: 1 }),
    full: Flags.boolean({ description: 'Look at every key' }),
    top: Flags.integer({ description: 'How many of the largest keys to show', default: 10, min: 0, max: 10_000 }),
    'max-rate': Flags.integer({ description: 'Keys looked at per second at most', default: 20_000, min: 1 }),
    html: Flags.string({ description: 'Write a report as one HTML page', helpValue: '<FILE>' }),
    'source-option': migrateFlags['source-option'],
    'target-option': migrateFlags['target-option'],
  }

  async run(): Promise<unknown> {
    const { flags } = await this.parse(Analyze)
    const progress = new ProgressLine(this.jsonEnabled())
    const config = resolveConfig({
      source: flags.source,
      target: flags.target ?? flags.source,
      sourceOptions: adapterOptions(flags['source-option']),
      targetOptions: adapterOptions(flags['target-option']),
    })
    const logger = await this.logger(flags, (text) => this.jsonEnabled() || process.stderr.write(`${text}\n`))
    const registry = this.registry(flags.plugin)
    const analysis = await withContext(logger, async (context) => {
      const ends =
        flags.target === undefined
          ? { source: await registry.source(config.source, {}, config.sourceOptions, context), target: null }
          : await openEnds(config, registry, context)
      try {
        if (ends.source instanceof Error) throw ends.source
        if (ends.target instanceof Error) throw ends.target
        return await analyzeSource(ends.source, ends.target, {
          sample: flags.sample,
          full: flags.full,
          topKeys: flags.top,
          topPatterns: flags.html === undefined ? 10 : 60,
          tree: flags.html !== undefined,
          maxRate: flags['max-rate'],
          signal: context.signal,
          onProgress: (keys, of) => progress.show('keys looked at', keys, of),
        })
      } finally {
        if (!(ends.source instanceof Error)) await ends.source[Symbol.asyncDispose]()
        if (ends.target !== null && !(ends.target instanceof Error)) await ends.target[Symbol.asyncDispose]()
      }
    })
    progress.end()
    const connection = redactUrl(flags.source)
    this.log(sourceAnalysisLines(connection, analysis).join('\n'))
    if (flags.html !== undefined) this.writeHtml(flags.html, connection, analysis)
    return toJson(connection, analysis)
  }

  private writeHtml(file: string, connection: string, analysis: SourceAnalysis): void {
    const { survey, totalKeys, compatibility, recommendations } = analysis
    const facts = [
      ['Version', `${survey.product} ${survey.version}`],
      ['Keys', formatCount(totalKeys)],
      ['Memory', formatBytes(survey.usedMemory)],
      ...compatibility.map(({ level, text }) => [level === 'ok' ? 'Fine' : 'Note', text]),
      ...recommendations.map((text) => ['Advice', text]),
    ]
    writeWhole(file, htmlAnalysis(`Analysis of ${connection}`, facts, analysis.summary, survey.shards))
  }
}

/** Maps do not survive JSON by themselves. */
function toJson(connection: string, analysis: SourceAnalysis): unknown {
  const { survey } = analysis
  return {
    connection,
    ...analysis,
    survey: { ...survey, keys: Object.fromEntries(survey.keys), commands: Object.fromEntries(survey.commands) },
  }
}
