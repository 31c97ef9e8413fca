import { MigrateError, parseOption } from '@ferrite-migrate/contracts'
import { type VerifyReport, verifyEnds } from '@ferrite-migrate/core'
import { Flags } from '@oclif/core'
import { askRunning } from '../ask-running.js'
import { BaseCommand, ExitCode } from '../base-command.js'
import { readConfig, readFlags, withContext } from '../read-flags.js'
import { formatCount } from '../render/format.js'
import { verificationLines } from '../render/report-view.js'

export default class Verify extends BaseCommand {
  static override description =
    'Verify migration integrity: both ways, by value, type and expiry; exit code 3 on differences'
  static override examples = [
    '<%= config.bin %> <%= command.id %> --source redis://source:6379 --target ferrite://target:6379',
    '<%= config.bin %> <%= command.id %> --id mig_abc123',
  ]
  static override flags = {
    ...readFlags,
    id: Flags.string({
      description: 'Verify a running live migration, exactly, while it goes on',
      exclusive: ['source', 'target', 'config'],
    }),
    'ttl-tolerance': Flags.string({
      description: 'Difference of expiries that does not count',
      default: '1s',
      helpValue: '<TIME>',
    }),
    rounds: Flags.integer({
      description: 'How often a difference is looked at again before it counts',
      default: 4,
      min: 1,
      max: 20,
    }),
    'ignore-field-ttl': Flags.boolean({
      description: 'Leave out expiries of hash fields, which a target may not have',
    }),
  }

  async run(): Promise<VerifyReport> {
    const { flags } = await this.parse(Verify)
    const report = flags.id === undefined ? await this.compare(flags) : await this.ask(flags.id, flags['state-dir'])
    this.log(verificationLines(report).join('\n'))
    if (!report.equal) process.exitCode = ExitCode.differences
    return report
  }

  private async ask(id: string, stateDir: string | undefined): Promise<VerifyReport> {
    const { result } = await askRunning(this.stateDir(stateDir), id, 'verify')
    return result as unknown as VerifyReport
  }

  private async compare(flags: Record<string, unknown>): Promise<VerifyReport> {
    const values = flags as Parameters<typeof readConfig>[0] & {
      'ttl-tolerance': string
      rounds: number
      'ignore-field-ttl': boolean
      plugin?: string[]
    }
    const config = readConfig(values)
    const ttlToleranceMs = parseOption(
      { name: 'ttl-tolerance', type: 'duration', description: 'Give a duration such as 1s.' },
      values['ttl-tolerance'],
    ) as number
    const terminal = process.stderr.isTTY === true && !this.jsonEnabled()
    const logger = await this.logger(
      values as object,
      (text) => this.jsonEnabled() || process.stderr.write(`${text}\n`),
    )
    const report = await withContext(logger, async (context) => {
      const done = await verifyEnds({
        config,
        registry: this.registry(values.plugin),
        context,
        ttlToleranceMs,
        rounds: values.rounds,
        ignoreFieldExpiry: values['ignore-field-ttl'] === true,
        ...(terminal
          ? { onProgress: (keys) => void process.stderr.write(`\r${formatCount(keys)} keys compared   `) }
          : {}),
      })
      if (context.signal.aborted)
        throw new MigrateError('FM_INTERRUPTED', 'the comparison was interrupted', 'Start it again.')
      return done
    })
    if (terminal) process.stderr.write('\r\x1b[2K')
    return report
  }
}
