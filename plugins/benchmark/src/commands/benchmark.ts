import { adapterOptions, BaseCommand, Flags, migrateFlags, withContext, writeWhole } from '@ferrite-migrate/cli-kit'
import { type BenchmarkReport, COMMANDS, type MeasuredEnd, openMeasuredEnd, runBenchmark } from '../index.js'
import { benchmarkHtml, benchmarkLines } from '../render/benchmark-view.js'

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
    const open = (url: string, option: 'source-option' | 'target-option', signal: AbortSignal): Promise<MeasuredEnd> =>
      openMeasuredEnd(url, adapterOptions(flags[option]), `--${option}`, signal)
    const ends: MeasuredEnd[] = []
    const measure = async (signal: AbortSignal): Promise<BenchmarkReport> => {
      const source = await open(flags.source, 'source-option', signal)
      ends.push(source)
      const target = await open(flags.target, 'target-option', signal)
      ends.push(target)
      return runBenchmark({
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
    }
    const report = await withContext(logger, ({ signal }) => measure(signal)).finally(() => {
      for (const end of ends) end.close()
      if (process.stderr.isTTY && !this.jsonEnabled()) process.stderr.write('\r\x1b[2K')
    })
    this.log(benchmarkLines(report).join('\n'))
    if (flags.html !== undefined) writeWhole(flags.html, benchmarkHtml(report))
    return report
  }
}
