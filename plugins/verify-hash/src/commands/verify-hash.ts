import { randomInt } from 'node:crypto'
import { BaseCommand, ExitCode, Flags, readConfig, readFlags, withContext } from '@ferrite-migrate/cli-kit'
import { MigrateError } from '@ferrite-migrate/contracts'
import { openForReading } from '@ferrite-migrate/core'
import { parseEndpoint } from '@ferrite-migrate/redis'
import { type HashAlgorithm, type HashReport, ServerDigest, verifyHashes } from '../index.js'
import { hashLines } from '../render/hash-view.js'

export default class VerifyHash extends BaseCommand {
  static override description = 'Compare data hashes of a sample of keys, or of all; exit code 3 on differences'
  static override examples = [
    '<%= config.bin %> <%= command.id %> --source redis://source:6379 --target ferrite://target:6379 --sample-rate 0.1',
    '<%= config.bin %> <%= command.id %> --source redis://source:6379 --target ferrite://target:6379 --full',
  ]
  static override flags = {
    ...readFlags,
    'sample-rate': Flags.string({
      description: 'Share of keys, such as 0.1 [default: 0.1]',
      exclusive: ['full'],
      helpValue: '<SHARE>',
    }),
    full: Flags.boolean({ description: 'All keys' }),
    seed: Flags.integer({ description: 'The same seed chooses the same keys; chosen and printed when left out' }),
    algorithm: Flags.string({
      description: 'How digests are made: by the servers (DEBUG DIGEST-VALUE) where they prove to agree, or here',
      options: ['auto', 'server', 'murmur128'],
      default: 'auto',
    }),
    rounds: Flags.integer({
      description: 'How often a difference is looked at again before it counts',
      default: 4,
      min: 1,
      max: 20,
    }),
  }

  async run(): Promise<HashReport> {
    const { flags } = await this.parse(VerifyHash)
    const rate = flags.full ? 1 : Number(flags['sample-rate'] ?? 0.1)
    if (!(rate > 0 && rate <= 1))
      throw new MigrateError(
        'FM_OPTION_VALUE',
        `"${flags['sample-rate']}" is no share between 0 and 1`,
        'Write for instance --sample-rate 0.1.',
      )
    const config = readConfig(flags)
    const logger = await this.logger(flags, (text) => this.jsonEnabled() || process.stderr.write(`${text}\n`))
    const report = await withContext(logger, async (context) => {
      const ends = await openForReading(config, this.registry(flags.plugin), context)
      const server = (url: string, options: Parameters<typeof parseEndpoint>[1]): ServerDigest | null =>
        /^rediss?:|^redis\+unix:/i.test(url) ? new ServerDigest(parseEndpoint(url, options)) : null
      const a = server(config.source, config.sourceOptions)
      const b = server(config.target, config.targetOptions)
      try {
        if (ends.sourceReader === null)
          throw new MigrateError(
            'FM_VERIFY_UNSUPPORTED',
            'a file has no digests to ask for',
            'Use verify, which reads it from start to end.',
          )
        if (!ends.transform.open)
          throw new MigrateError(
            'FM_VERIFY_UNSUPPORTED',
            'digests are compared key by key under one name, and these ends have other names or values',
            'Use verify or compare, which apply the same rules.',
          )
        return await verifyHashes({
          source: ends.sourceReader,
          target: ends.targetReader,
          filter: ends.filter,
          rate,
          seed: flags.seed ?? randomInt(2 ** 31),
          algorithm: flags.algorithm as HashAlgorithm,
          servers: a !== null && b !== null ? [a, b] : null,
          rounds: flags.rounds,
          signal: context.signal,
        })
      } finally {
        a?.close()
        b?.close()
        await ends.close()
      }
    })
    this.log(hashLines(report).join('\n'))
    if (!report.equal) process.exitCode = ExitCode.differences
    return report
  }
}
