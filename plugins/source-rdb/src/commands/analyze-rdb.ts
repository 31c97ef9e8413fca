import {
  Args,
  BaseCommand,
  Flags,
  formatBytes,
  formatCount,
  rdbAnalysisLines,
  writeWhole,
} from '@ferrite-migrate/cli-kit'
import { analyzeRdb, htmlAnalysis, type RdbAnalysis } from '@ferrite-migrate/core'
import { FileFeed } from '@ferrite-migrate/files'
import { KeyTable } from '../render/key-table.js'

export default class AnalyzeRdb extends BaseCommand {
  static override description = 'Look into an RDB file (plain, .gz or .zst; - is standard input) without importing it'
  static override examples = [
    '<%= config.bin %> <%= command.id %> dump.rdb',
    '<%= config.bin %> <%= command.id %> dump.rdb --top 20 --csv keys.csv --html report.html',
  ]
  static override args = { file: Args.string({ description: 'The RDB file, or -', required: true }) }
  static override flags = {
    top: Flags.integer({ description: 'How many of the largest keys to show', default: 10, min: 0, max: 10_000 }),
    patterns: Flags.integer({ description: 'How many key patterns to show', default: 10, min: 0, max: 1000 }),
    csv: Flags.string({ description: 'Write one row a key to this file', helpValue: '<FILE>' }),
    html: Flags.string({ description: 'Write a report as one HTML page', helpValue: '<FILE>' }),
    checksum: Flags.boolean({ description: 'Check the checksum over the whole file', default: true, allowNo: true }),
  }

  async run(): Promise<RdbAnalysis> {
    const { args, flags } = await this.parse(AnalyzeRdb)
    const feed = await FileFeed.open(args.file)
    const table = flags.csv === undefined ? null : new KeyTable(flags.csv)
    const now = Date.now()
    const terminal = process.stderr.isTTY === true && !this.jsonEnabled()
    try {
      const analysis = await analyzeRdb(feed, {
        checksum: flags.checksum,
        topKeys: flags.top,
        topPatterns: flags.html === undefined ? flags.patterns : Math.max(flags.patterns, 60),
        tree: flags.html !== undefined,
        signal: new AbortController().signal,
        ...(table === null ? {} : { onKey: (row) => table.add(row, now) }),
        ...(terminal
          ? {
              onProgress: (keys) =>
                void process.stderr.write(
                  `\r${formatCount(keys)} keys, ${formatBytes(feed.read)}${feed.size === null ? '' : ` of ${formatBytes(feed.size)}`}   `,
                ),
            }
          : {}),
      })
      if (terminal) process.stderr.write('\r\x1b[2K')
      this.log(rdbAnalysisLines({ ...analysis, patterns: analysis.patterns.slice(0, flags.patterns) }).join('\n'))
      if (flags.html !== undefined)
        writeWhole(
          flags.html,
          htmlAnalysis(
            args.file === '-' ? 'RDB from standard input' : args.file,
            [
              ['RDB version', `${analysis.rdbVersion}${analysis.valkey ? ' (Valkey)' : ''}`],
              ['Keys', formatCount(analysis.keys)],
              ['Size', `${formatBytes(analysis.fileBytes)}, ${formatBytes(analysis.inflatedBytes)} uncompressed`],
            ],
            analysis,
          ),
        )
      return analysis
    } finally {
      table?.close()
      await feed.close()
    }
  }
}
