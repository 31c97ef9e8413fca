import type { MigrationConfig, MigrationReport, Plan } from '@ferrite-migrate/core'
import { BaseCommand } from './base-command.js'
import { confirmed } from './confirm.js'
import { type MeasuringFlags, measuringOf } from './measuring.js'
import { afterRun, type NamedAgain } from './render/next-steps.js'
import { runMigration } from './run-migration.js'

/** What all commands that run a migration need of their flags. */
export interface RunFlags extends MeasuringFlags {
  readonly 'dry-run': boolean
  readonly detach?: boolean
  readonly yes: boolean
  readonly plugin?: string[] | undefined
  readonly 'state-dir'?: string | undefined
  readonly queue?: string | undefined
  readonly verbose?: boolean
  readonly trace?: boolean
  readonly 'log-file'?: string
}

/** A command that runs a migration: one that fails tells what it did and what can be done. */
export abstract class MigrationCommand extends BaseCommand {
  private failedReport: MigrationReport | null = null
  private given: NamedAgain = {}

  /** @param told findings that were shown already */
  protected async migrate(
    config: MigrationConfig,
    flags: RunFlags,
    told: readonly string[] = [],
  ): Promise<MigrationReport | Plan> {
    this.given = { stateDir: flags['state-dir'], plugins: flags.plugin, queue: flags.queue }
    if (config.deleteExtra && !config.resume && !flags['dry-run'])
      await confirmed(
        'Keys that only the target has will be deleted (--delete-extra). Go on?',
        flags,
        this.jsonEnabled(),
      )
    const measuring = flags['dry-run'] ? null : await measuringOf(this.config, flags)
    const say = (text: string): void => void (this.jsonEnabled() || process.stderr.write(`${text}\n`))
    return runMigration({
      config,
      measured: async (samples) => (measuring === null ? null : measuring(samples, say)),
      registry: this.registry(flags.plugin),
      dryRun: flags['dry-run'],
      detach: flags.detach === true,
      json: this.jsonEnabled(),
      logger: (warn) => this.logger(flags, warn),
      log: (text) => this.log(text),
      given: this.given,
      told,
      failed: (report) => {
        this.failedReport = report
      },
    })
  }

  protected override besideError(): Readonly<Record<string, unknown>> {
    return this.failedReport === null ? {} : { id: this.failedReport.status.id, report: this.failedReport }
  }

  protected override belowError(): readonly string[] {
    return this.failedReport === null ? [] : afterRun(this.failedReport, this.given)
  }
}
