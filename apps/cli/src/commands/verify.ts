import {
  BaseCommand,
  comparisonFlags,
  comparisonProgress,
  ExitCode,
  givenEnds,
  queueFlags,
  readConfig,
  ttlToleranceMs,
  verificationLines,
  withContext,
} from '@ferrite-migrate/cli-kit'
import { Flags } from '@ferrite-migrate/cli-kit/oclif'
import { MigrateError } from '@ferrite-migrate/contracts'
import { type ResolvedConfig, ranConfig, StateStore, type VerifyReport, verifyEnds } from '@ferrite-migrate/core'
import { askRunning } from '../ask-running.js'

/** Of these a migration has its own. */
const OF_TWO_ENDS = [
  ...['filter', 'exclude', 'type', 'db', 'expiry', 'filter-regex', 'exclude-regex', 'min-size', 'max-size'],
  ...['min-ttl', 'max-ttl', 'slots', 'transform', 'transform-script', 'transform-keys', 'db-map'],
]
/** One that runs compares in its own way. */
const OF_COMPARISON = ['rounds', 'ttl-tolerance', 'read', 'ignore-field-ttl']

export default class Verify extends BaseCommand {
  static override description =
    'Verify migration integrity: both ways, by value, type and expiry; exit code 3 on differences'
  static override examples = [
    '<%= config.bin %> <%= command.id %> --source redis://source:6379 --target ferrite://target:6379',
    '<%= config.bin %> <%= command.id %> --id mig_abc123',
  ]
  static override flags = {
    ...queueFlags,
    ...comparisonFlags,
    id: Flags.string({
      description:
        'Verify a migration: one that runs exactly, while it goes on; one that is over by comparing both ends as they are now (--source, --target or -c with passwords, which are not stored)',
    }),
    read: Flags.string({
      description: 'How both are read: by replication snapshots, which make the servers fork, or key by key',
      options: ['auto', 'snapshots', 'keys'],
      default: 'auto',
    }),
    'ignore-field-ttl': Flags.boolean({
      description: 'Leave out expiries of hash fields, which a target may not have',
    }),
  }

  async run(): Promise<VerifyReport> {
    const { flags, metadata } = await this.parse(Verify)
    const given = Object.keys(flags).filter((name) => metadata.flags[name]?.setFromDefault !== true)
    const report = await this.report(flags, given)
    this.log(verificationLines(report).join('\n'))
    if (!report.equal) process.exitCode = ExitCode.differences
    return report
  }

  private report(
    flags: Parameters<typeof readConfig>[0] & { id?: string | undefined; 'state-dir'?: string | undefined },
    given: readonly string[],
  ): Promise<VerifyReport> {
    if (flags.id === undefined) return this.compare(flags, readConfig(flags))
    const store = new StateStore(this.stateDir(flags['state-dir']))
    try {
      const stored = store.get(flags.id)
      const runs = stored.status.state === 'RUNNING'
      mustBeMeant(given, runs ? [...OF_TWO_ENDS, ...OF_COMPARISON] : OF_TWO_ENDS, flags.id)
      if (runs) return this.ask(flags.id, flags['state-dir'])
      return this.compare(flags, ranConfig(stored, givenEnds(flags)))
    } finally {
      store.close()
    }
  }

  private async ask(id: string, stateDir: string | undefined): Promise<VerifyReport> {
    const { result } = await askRunning(this.stateDir(stateDir), id, 'verify', { follow: this.follow })
    if (isReport(result)) return result
    throw new MigrateError(
      'FM_INTERNAL',
      `the migration ${id} answered without a report`,
      'Is it run by this version of ferrite-migrate? If so, please report it.',
    )
  }

  private async compare(flags: object, config: ResolvedConfig): Promise<VerifyReport> {
    const values = flags as {
      'ttl-tolerance': string
      rounds: number
      'ignore-field-ttl': boolean
      read: 'auto' | 'snapshots' | 'keys'
      plugin?: string[]
    }
    const progress = comparisonProgress(this.jsonEnabled())
    const logger = await this.logger(
      values as object,
      (text) => this.jsonEnabled() || process.stderr.write(`${text}\n`),
    )
    const report = await withContext(logger, (context) =>
      verifyEnds({
        config,
        registry: this.registry(values.plugin),
        context,
        ttlToleranceMs: ttlToleranceMs(values['ttl-tolerance']),
        rounds: values.rounds,
        read: values.read,
        ignoreFieldExpiry: values['ignore-field-ttl'] === true,
        onProgress: progress.onProgress,
      }),
    ).finally(progress.end)
    return report
  }
}

/** What would be ignored in silence changes what a result means. @throws MigrateError FM_USAGE */
function mustBeMeant(given: readonly string[], ignored: readonly string[], id: string): void {
  const found = given.filter((name) => ignored.includes(name))
  if (found.length === 0) return
  throw new MigrateError(
    'FM_USAGE',
    `--${found.join(', --')} cannot be given for the migration ${id}, which is compared as it was told to be run`,
    'Leave it out, or compare two servers: verify --source … --target …',
  )
}

/** An answer comes from another process. */
function isReport(answer: object | undefined): answer is VerifyReport {
  return answer !== undefined && 'equal' in answer && 'differences' in answer && Array.isArray(answer.differences)
}
