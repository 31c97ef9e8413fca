import { counted, type Logger } from '@ferrite-migrate/contracts'
import {
  type MetricSample,
  Migration,
  type MigrationConfig,
  type MigrationReport,
  type Plan,
  type Registry,
} from '@ferrite-migrate/core'
import { ExitCode } from './exit-code.js'
import { LiveDisplay } from './render/live-display.js'
import { afterRun, type NamedAgain } from './render/next-steps.js'
import { planLines } from './render/plan-view.js'
import { reportLines } from './render/report-view.js'
import { onSignals } from './signals.js'

export interface RunOptions {
  readonly config: MigrationConfig
  readonly registry: Registry
  readonly dryRun: boolean
  /** The workers of the queue go on by themselves as soon as they have begun. */
  readonly detach: boolean
  readonly json: boolean
  logger(warn: (text: string) => void): Promise<Logger>
  log(text: string): void
  /** What a later command line has to name again. */
  readonly given: NamedAgain
  /** Findings that were shown already. */
  readonly told?: readonly string[]
  /** Whoever shows what is measured while it runs; null = nobody wants to know. */
  measured(samples: () => readonly MetricSample[]): Promise<{ close(): Promise<void> } | null>
  /** A run that had begun failed: its report, before the error is thrown. */
  failed(report: MigrationReport): void
}

function exitCodeOfReport(report: MigrationReport): number {
  if (report.status.state === 'INTERRUPTED') return ExitCode.interrupted
  const { verification } = report
  if (verification !== null && !verification.complete) return ExitCode.interrupted
  if (verification !== null && !verification.equal) return ExitCode.differences
  return report.status.keysFailed > 0 ? ExitCode.failed : ExitCode.done
}

/** The first Ctrl-C stops gracefully, the second at once, but for what keeps writers out of the source. */
function stopOnSignal(migration: Migration, display: LiveDisplay): () => void {
  let leaving = false
  return onSignals(
    () => {
      display.line('Stopping: writing what was read. Press Ctrl-C again to stop at once.')
      migration.stop()
    },
    () => {
      if (leaving) process.exit(ExitCode.interrupted)
      leaving = true
      void migration.abandon().finally(() => process.exit(ExitCode.interrupted))
    },
  )
}

/** Without a terminal nobody is there to end a live run that was to be verified, as in a step of CI. */
function endedByItself(config: MigrationConfig, say: (text: string) => void): MigrationConfig {
  if ((config.mode ?? 'live') !== 'live' || !config.verify || config.exit || process.stderr.isTTY === true)
    return config
  if (process.stdin.isTTY === true) return config
  say('Without a terminal --verify ends the run once both ends are equal, as --exit does.')
  return { ...config, exit: true }
}

/** Runs a migration with its live display, prints plan or report, and sets the exit code. */
export async function runMigration(options: RunOptions): Promise<MigrationReport | Plan> {
  const { registry, dryRun, json, log } = options
  const config = endedByItself(options.config, (text) => json || log(text))
  const display = new LiveDisplay(process.stderr, options.given)
  const told = new Set(options.told)
  const logger = withoutTold(await options.logger((text) => json || dryRun || display.line(text)), told)
  const migration = new Migration(config, { registry, logger })
  if (dryRun) {
    const plan = await migration.dryRun()
    log(planLines(plan).join('\n'))
    if (plan.findings.some((finding) => finding.level === 'fail')) process.exitCode = ExitCode.refused
    return plan
  }
  // An address that is taken is told before anything begins.
  const listener = await options.measured(() => migration.metrics())
  if (!json) display.attach(migration)
  const release = stopOnSignal(migration, display)
  if (options.detach)
    migration.on('phase', (phase) => {
      if (phase === 'INITIAL_SYNC') setImmediate(() => migration.canLeave && migration.leave())
    })
  try {
    const report = await migration.start().finally(async () => {
      release()
      await listener?.close()
    })
    display.end()
    if (report.status.state === 'RUNNING') {
      log(`The workers of the queue go on with ${report.status.id}; migrate --resume follows it again.`)
      return report
    }
    log(reportLines(report).join('\n'))
    process.exitCode = exitCodeOfReport(report)
    log(['', ...endLines(report, options.given)].join('\n'))
    return report
  } catch (error) {
    display.end()
    if (!migration.began) throw error
    const report = migration.report()
    log(reportLines(report).join('\n'))
    options.failed(report)
    throw error
  }
}

/** What was said in the plan is not said again. */
function withoutTold(logger: Logger, told: ReadonlySet<string>): Logger {
  if (told.size === 0) return logger
  return {
    log: (level, text, fields) => {
      if (!told.has(text)) logger.log(level, text, fields)
    },
    enabled: (level) => logger.enabled(level),
  }
}

/** Where it stands when it is over, and what can be done. */
function endLines(report: MigrationReport, given: NamedAgain): string[] {
  const { state, keysDone, keysTotal, changesApplied } = report.status
  if (state !== 'INTERRUPTED') return afterRun(report, given)
  const inCopy = keysTotal !== null && keysDone < keysTotal && changesApplied === 0
  const away = report.notes.some(({ type }) => type === 'stopped')
  return [
    away
      ? 'Stopped while a server was away. What it has not taken comes again from the saved position.'
      : inCopy
        ? `Stopped at ${keysDone.toLocaleString('en-US')} of ${counted(keysTotal, 'key')}. Everything read is written, and the position is saved.`
        : 'Stopped. Everything read is written, and the position is saved.',
    ...afterRun(report, given),
  ]
}
