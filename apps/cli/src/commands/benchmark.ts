import { type BenchmarkReport, COMMANDS, runBenchmark } from '@ferrite-migrate/benchmark'
import { parseEndpoint } from '@ferrite-migrate/redis'
import { Flags } from '@oclif/core'
import { BaseCommand } from '../base-command.js'
import { adapterOptions } from '../flag-values.js'
import { migrateFlags } from '../migrate-flags.js'
import { withContext } from '../read-flags.js'
import { benchmarkHtml, benchmarkLines } from '../render/benchmark-view.js'
import { writeWhole } from '../write-file.js'

export default class Benchmark extends BaseCommand {
  static override description = 'Compare the performance of two servers, on keys of its own that are removed afterwards'
  static override examples = [
    '<%= config.bin %> <%= command.id %> --source redis://source:6379 --target ferrite://target:6379 --operations 100000',
  ]
  static override flags = {
    source: Flags.string({ char: 's', description: 'One server', required: true, helpValue: '<SOURCE>' }),
    target: Flags.string({ char: 't', description: 'The other', required: true, helpValue: '<TARGET>' }),
    operations: Flags.integer({
      char: 'n',
      description: 'Operations per command and server',
      default: 100_000,
      min: 100,
    }),
    commands: Flags.string({
      description: `Commands to measure, among ${Object.keys(COMMANDS).join(', ')}`,
      default: ['GET', 'SET'],
      multiple: true,
      multipleNonGreedy: true,
      delimiter: ',',
    }),
    clients: Flags.integer({ description: 'Connections per server', default: 50, min: 1, max: 1000 }),
    pipeline: Flags.integer({ description: 'Commands sent at once by each', default: 1, min: 1, max: 10_000 }),
    'data-size': Flags.integer({ description: 'Bytes of each value', default: 100, min: 1, max: 16 << 20 }),
    keyspace: Flags.integer({ description: 'Different keys', default: 10_000, min: 1, max: 10_000_000 }),
    rate: Flags.integer({
      description: 'Operations per second, latencies counted from when each was due; 0 = as fast as possible',
      default: 0,
      min: 0,
    }),
    html: Flags.string({ description: 'Write the result as one HTML page with percentile plots', helpValue: '<FILE>' }),
    'source-option': migrateFlags['source-option'],
    'target-option': migrateFlags['target-option'],
  }

  async run(): Promise<BenchmarkReport> {
    const { flags } = await this.parse(Benchmark)
    const logger = await this.logger(flags, () => undefined)
    const source = parseEndpoint(flags.source, adapterOptions(flags['source-option']))
    const target = parseEndpoint(flags.target, adapterOptions(flags['target-option']))
    const measure = (signal: AbortSignal): Promise<BenchmarkReport> =>
      runBenchmark({
        source,
        target,
        operations: flags.operations,
        commands: flags.commands,
        clients: flags.clients,
        pipeline: flags.pipeline,
        dataSize: flags['data-size'],
        keyspace: flags.keyspace,
        rate: flags.rate,
        onProgress: (text) => {
          if (!this.jsonEnabled() && process.stderr.isTTY) process.stderr.write(`\r${text} …   `)
        },
        signal,
      })
    const report = await withContext(logger, ({ signal }) => measure(signal)).finally(() => {
      for (const { moving } of [source, target]) moving?.close()
      if (process.stderr.isTTY && !this.jsonEnabled()) process.stderr.write('\r\x1b[2K')
    })
    this.log(benchmarkLines(report).join('\n'))
    if (flags.html !== undefined) writeWhole(flags.html, benchmarkHtml(report))
    return report
  }
}
