import { BaseCommand, ExitCode, migrateFlags, migrationConfig, withContext } from '@ferrite-migrate/cli-kit'
import { type Diagnosis, diagnose } from '@ferrite-migrate/core'
import { diagnosisLines } from '../render/diagnosis-view.js'

const { 'dry-run': _, resume: __, ...flags } = migrateFlags

export default class Doctor extends BaseCommand {
  static override description = 'Check both ends, each for itself and together, and say what would fail'
  static override examples = [
    '<%= config.bin %> <%= command.id %> --source redis://source:6379 --target ferrite://target:6379',
    '<%= config.bin %> <%= command.id %> -c migration.yaml',
  ]
  static override flags = flags

  async run(): Promise<Diagnosis> {
    const { flags } = await this.parse(Doctor)
    const config = migrationConfig(flags, (flag) => this.stateDir(flag), flags['state-dir'])
    const logger = await this.logger(flags, () => undefined)
    const diagnosis = await withContext(logger, (context) => diagnose(config, this.registry(flags.plugin), context))
    this.log(diagnosisLines(diagnosis).join('\n'))
    if (diagnosis.ends.some(({ error }) => error !== null)) process.exitCode = ExitCode.failed
    else if (!diagnosis.ready) process.exitCode = ExitCode.refused
    return diagnosis
  }
}
