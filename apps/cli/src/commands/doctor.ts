import { BaseCommand, ExitCode, migrateFlags, migrationConfig, withContext } from '@ferrite-migrate/cli-kit'
import { type Diagnosis, diagnose } from '@ferrite-migrate/core'
import { examineInstallation, type Installation } from '../installation/installation.js'
import { diagnosisLines, installedLines } from '../render/diagnosis-view.js'

/** Without ends the installation is all that there is to look at. */
type DoctorReport = Diagnosis & { readonly installation: Installation }

const { 'dry-run': _, resume: __, ...flags } = migrateFlags

export default class Doctor extends BaseCommand {
  static override description =
    'Check the installation, and both ends, each for itself and together, and say what would fail'
  static override examples = [
    '<%= config.bin %> <%= command.id %>',
    '<%= config.bin %> <%= command.id %> --source redis://source:6379 --target ferrite://target:6379',
    '<%= config.bin %> <%= command.id %> -c migration.yaml',
  ]
  static override flags = flags

  async run(): Promise<DoctorReport> {
    const { flags } = await this.parse(Doctor)
    const installation = examineInstallation(this.config, this.stateDir(flags['state-dir']))
    if (flags.source === undefined && flags.target === undefined && flags.config === undefined) {
      this.log(installedLines(installation).join('\n'))
      if (!installation.whole) process.exitCode = ExitCode.failed
      return { installation, ends: [], findings: [], ready: installation.whole }
    }
    const config = migrationConfig(flags, (flag) => this.stateDir(flag), flags['state-dir'])
    const logger = await this.logger(flags, () => undefined)
    const diagnosis = await withContext(logger, (context) => diagnose(config, this.registry(flags.plugin), context))
    this.log(diagnosisLines(diagnosis, installation).join('\n'))
    if (diagnosis.ends.some(({ error }) => error !== null)) process.exitCode = ExitCode.failed
    else if (!diagnosis.ready) process.exitCode = ExitCode.refused
    return { installation, ...diagnosis }
  }
}
