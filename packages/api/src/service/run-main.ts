import { type ToldError, toldError } from '@ferrite-migrate/contracts'
import { createLogger, logLevelFrom, Migration, Registry } from '@ferrite-migrate/core'
import type { FromRun, RunTask, ToRun } from './run-message.js'

/** A process that runs one migration for the service that forked it. It ends gracefully when that one is gone, unless it was detached. */
class Run {
  private migration: Migration | null = null
  private detached = false

  take(message: ToRun): void {
    if (message.kind === 'detach') this.detached = true
    else void this.work(message.task)
  }

  /** Whoever began it is gone. */
  orphaned(): void {
    if (!this.detached) this.stop()
  }

  /** One that only plans, or has not begun, has nothing to bring to an end. */
  stop(): void {
    if (this.migration === null) process.exit(1)
    this.migration.stop()
  }

  private async work({ config, plugins, dryRun, detach }: RunTask): Promise<void> {
    this.detached = detach
    let fault: ToldError | null = null
    try {
      const logger = createLogger(logLevelFrom(process.env) ?? 'warn', process.stderr)
      const migration = new Migration(config, { registry: new Registry(plugins), logger })
      if (dryRun) tell({ kind: 'planned', plan: await migration.dryRun() })
      else {
        this.migration = migration
        migration.on('note', ({ type }) => {
          if (type === 'started') tell({ kind: 'began', id: migration.id })
        })
        await migration.start()
      }
    } catch (error) {
      fault = toldError(error)
    }
    tell({ kind: 'over', fault })
    if (process.connected) process.disconnect()
  }
}

function tell(message: FromRun): void {
  if (process.connected) process.send?.(message)
}

const run = new Run()
process.title = 'ferrite-migrate run'
// Whoever read the log is gone: the run is not.
process.stderr.on('error', () => undefined)
process.on('message', (message: ToRun) => run.take(message))
process.on('disconnect', () => run.orphaned())
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => run.stop())
