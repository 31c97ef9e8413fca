import { type RollbackReport, rollBack } from '@ferrite-migrate/core'
import { Flags } from '@oclif/core'
import { BaseCommand, ExitCode } from '../base-command.js'
import { endFlags, givenEnds } from '../end-flags.js'
import { rollbackLines } from '../render/rollback-view.js'

export default class RollbackCommand extends BaseCommand {
  static override description = 'Put the target back as it was before a migration'
  static override examples = [
    '<%= config.bin %> <%= command.id %> --id mig_abc123',
    '<%= config.bin %> <%= command.id %> --id mig_abc123 --dry-run',
  ]
  static override flags = {
    id: Flags.string({ description: 'Name of the migration', required: true }),
    'dry-run': Flags.boolean({ description: 'Say what would be undone' }),
    force: Flags.boolean({ description: 'Undo also keys that others may have written since' }),
    ...endFlags,
  }

  async run(): Promise<RollbackReport> {
    const { flags } = await this.parse(RollbackCommand)
    const stop = new AbortController()
    const interrupt = (): void => stop.abort()
    process.once('SIGINT', interrupt)
    process.once('SIGTERM', interrupt)
    const say = (text: string): void => {
      if (!this.jsonEnabled()) process.stderr.write(`${text}\n`)
    }
    let saidAt = Date.now()
    const report = await rollBack({
      id: flags.id,
      stateDir: this.stateDir(flags['state-dir']),
      registry: this.registry(flags.plugin),
      logger: await this.logger(flags, say),
      given: givenEnds(flags),
      force: flags.force,
      dryRun: flags['dry-run'],
      signal: stop.signal,
      onNote: say,
      onProgress: (keys) => {
        if (Date.now() - saidAt < 2000) return
        saidAt = Date.now()
        say(`${keys.toLocaleString('en-US')} keys looked at`)
      },
    })
    this.log(rollbackLines(flags.id, report).join('\n'))
    process.exitCode = report.interrupted ? ExitCode.interrupted : report.failed > 0 ? ExitCode.failed : ExitCode.done
    return report
  }
}
