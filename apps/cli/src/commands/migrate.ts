import { setFlagsFromString } from 'node:v8'
import { Migration, type MigrationConfig, type MigrationReport, type Plan } from '@ferrite-migrate/core'
import { BaseCommand, ExitCode } from '../base-command.js'
import { migrateFlags, migrationConfig } from '../migrate-flags.js'
import { LiveDisplay } from '../render/live-display.js'
import { planLines } from '../render/plan-view.js'
import { reportLines } from '../render/report-view.js'

export default class Migrate extends BaseCommand {
  static override description = 'Move the data of a source into a target, live or as a snapshot'
  static override examples = [
    '<%= config.bin %> <%= command.id %> --source redis://source:6379 --target ferrite://target:6379 --mode live',
    '<%= config.bin %> <%= command.id %> -s redis://source:6379 -t ferrite://target:6379 -m snapshot --verify',
  ]
  static override flags = migrateFlags

  async run(): Promise<MigrationReport | Plan> {
    const { flags } = await this.parse(Migrate)
    const config: MigrationConfig = migrationConfig(flags, (flag) => this.stateDir(flag), flags['state-dir'])
    const display = new LiveDisplay()
    const logger = await this.logger(flags, (text) => this.jsonEnabled() || flags['dry-run'] || display.line(text))
    const migration = new Migration(config, { registry: this.registry(flags.plugin), logger })
    if (flags['dry-run']) {
      const plan = await migration.dryRun()
      this.log(planLines(plan).join('\n'))
      if (plan.findings.some((finding) => finding.level === 'fail')) process.exitCode = ExitCode.refused
      return plan
    }
    if (!this.jsonEnabled()) display.attach(migration)
    // Records die young: a young generation that grows to its maximum only makes the process larger.
    migration.once('phase', () => setFlagsFromString('--semi-space-growth-factor=1'))
    const release = this.stopOnSignal(migration, display)
    const report = await migration.start().finally(release)
    display.erase()
    this.log(reportLines(report).join('\n'))
    process.exitCode = this.exitCode(report)
    if (report.status.state === 'INTERRUPTED')
      this.log(
        `\nStopped. Everything read is written, and the position is saved.\nTo go on: ferrite-migrate migrate --resume ${report.status.id}`,
      )
    return report
  }

  private exitCode(report: MigrationReport): number {
    if (report.status.state === 'INTERRUPTED') return ExitCode.interrupted
    if (report.verification !== null && !report.verification.equal) return ExitCode.differences
    return report.status.keysFailed > 0 ? ExitCode.failed : ExitCode.done
  }

  /** The first Ctrl-C stops gracefully, the second at once. */
  private stopOnSignal(migration: Migration, display: LiveDisplay): () => void {
    let asked = false
    const stop = (): void => {
      if (asked) process.exit(ExitCode.interrupted)
      asked = true
      display.line('Stopping: writing what was read. Press Ctrl-C again to stop at once.')
      migration.stop()
    }
    process.on('SIGINT', stop)
    process.on('SIGTERM', stop)
    return () => {
      process.off('SIGINT', stop)
      process.off('SIGTERM', stop)
    }
  }
}
