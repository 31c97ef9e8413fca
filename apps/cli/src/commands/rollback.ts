import {
  BaseCommand,
  confirmed,
  ExitCode,
  endFlags,
  givenEnds,
  onSignals,
  ProgressLine,
  queueFlags,
  yesFlag,
} from '@ferrite-migrate/cli-kit'
import { Flags } from '@ferrite-migrate/cli-kit/oclif'
import { type RollbackReport, rollBack } from '@ferrite-migrate/core'
import { askRunning } from '../ask-running.js'
import { rollbackLines } from '../render/rollback-view.js'
import { idFlag, whichMigration } from '../which-migration.js'

export default class RollbackCommand extends BaseCommand {
  static override description = 'Put the target back as it was before a migration'
  static override examples = [
    '<%= config.bin %> <%= command.id %> --id mig_abc123',
    '<%= config.bin %> <%= command.id %> --id mig_abc123 --dry-run',
  ]
  static override flags = {
    ...queueFlags,
    id: idFlag,
    'dry-run': Flags.boolean({ description: 'Say what would be undone' }),
    force: Flags.boolean({ description: 'Undo also keys that others may have written since' }),
    ...endFlags,
    yes: yesFlag,
  }

  async run(): Promise<RollbackReport> {
    const { flags } = await this.parse(RollbackCommand)
    const id = whichMigration(this.stateDir(flags['state-dir']), flags.id, 'any', (text) => this.sayWhich(text))
    if (!flags['dry-run'])
      await confirmed(
        `Put the target back as it was before ${id}?${flags.force ? ' Keys that others have written since are undone as well.' : ''}`,
        flags,
        this.jsonEnabled(),
      )
    const stop = new AbortController()
    const release = onSignals(
      () => stop.abort(),
      () => process.exit(ExitCode.interrupted),
    )
    const say = (text: string): void => {
      if (!this.jsonEnabled()) process.stderr.write(`${text}\n`)
    }
    if (!flags['dry-run'])
      await this.sharedState?.take(id, () => {
        say(`stopping the migration ${id} on all machines`)
        return askRunning(this.stateDir(flags['state-dir']), id, 'stop', { follow: this.follow })
      })
    const progress = new ProgressLine(this.jsonEnabled())
    const report = await rollBack({
      id,
      stateDir: this.stateDir(flags['state-dir']),
      registry: this.registry(flags.plugin),
      logger: await this.logger(flags, say),
      given: givenEnds(flags),
      force: flags.force,
      dryRun: flags['dry-run'],
      signal: stop.signal,
      ...(this.sharedState === null ? {} : { journal: this.sharedState.runner.journal(id, 0) }),
      onNote: say,
      onProgress: (keys, total) => progress.show('keys looked at', keys, total),
    }).finally(() => {
      progress.end()
      release()
    })
    this.log(rollbackLines(id, report).join('\n'))
    process.exitCode = report.interrupted ? ExitCode.interrupted : report.failed > 0 ? ExitCode.failed : ExitCode.done
    return report
  }
}
