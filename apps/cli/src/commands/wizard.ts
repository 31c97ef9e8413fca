import { ExitCode, MigrationCommand, planLines, withContext } from '@ferrite-migrate/cli-kit'
import { MigrateError } from '@ferrite-migrate/contracts'
import { Migration, type MigrationConfig, type MigrationReport, type Plan } from '@ferrite-migrate/core'
import { isExit } from '../wizard/prompts.js'
import { runWizard } from '../wizard/wizard.js'

export default class Wizard extends MigrationCommand {
  static override description = 'Answer some questions, see the plan, and watch it run'
  static override examples = ['<%= config.bin %> <%= command.id %>']

  async run(): Promise<MigrationReport | Plan | null> {
    const { flags } = await this.parse(Wizard)
    if (process.stdin.isTTY !== true || process.stdout.isTTY !== true || this.jsonEnabled())
      throw new MigrateError(
        'FM_CONFIG_INVALID',
        'the wizard needs a terminal',
        'In scripts use migrate, with -c FILE.',
      )
    const registry = this.registry(flags.plugin)
    const say = (text: string): void => this.log(text)
    const logger = await this.logger(flags, () => undefined)
    let told: readonly string[] = []
    const showPlan = async (config: MigrationConfig): Promise<boolean> => {
      const plan = await new Migration(config, { registry, logger }).dryRun()
      told = plan.findings.map(({ text }) => text)
      say(planLines(plan).join('\n'))
      return !plan.findings.some(({ level }) => level === 'fail')
    }
    try {
      const config = await withContext(logger, (context) => runWizard({ registry, context, say, showPlan }))
      if (config === null) return null
      const stateDir = this.stateDir(flags['state-dir'])
      return await this.migrate({ ...config, stateDir }, { ...flags, 'dry-run': false, yes: true }, told)
    } catch (error) {
      if (!isExit(error)) throw error
      say('Nothing was changed.')
      process.exitCode = ExitCode.interrupted
      return null
    }
  }
}
