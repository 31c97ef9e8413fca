import { BaseCommand } from '@ferrite-migrate/cli-kit'
import { Args } from '@ferrite-migrate/cli-kit/oclif'
import { fishCompletions } from '../completions/fish.js'

export default class Completions extends BaseCommand {
  static override description =
    'Print what a shell needs to complete commands and flags: fish here; bash, zsh and PowerShell have `autocomplete`'
  static override examples = [
    '<%= config.bin %> <%= command.id %> fish > ~/.config/fish/completions/<%= config.bin %>.fish',
  ]
  static override args = { shell: Args.string({ description: 'The shell', options: ['fish'], required: true }) }
  static override enableJsonFlag = false

  async run(): Promise<void> {
    await this.parse(Completions)
    const commands = this.config.commands.filter(({ hidden }) => !hidden)
    process.stdout.write(
      fishCompletions(
        this.config.bin,
        commands.toSorted((a, b) => (a.id < b.id ? -1 : 1)),
      ),
    )
  }
}
