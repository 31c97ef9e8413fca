import { BaseCommand } from '@ferrite-migrate/cli-kit'

interface CommandRow {
  readonly command: string
  readonly description: string
  readonly plugin: string
}

export default class Commands extends BaseCommand {
  static override description = 'List all commands, with the plugin that brings each'
  static override examples = ['<%= config.bin %> <%= command.id %>', '<%= config.bin %> <%= command.id %> --json']

  async run(): Promise<{ commands: CommandRow[] }> {
    await this.parse(Commands)
    const commands = this.config.commands
      .filter(({ hidden }) => !hidden)
      .map(({ id, summary, description, pluginName }) => ({
        command: id.replaceAll(':', ' '),
        description: (summary ?? description ?? '').split('\n')[0],
        plugin: pluginName ?? '',
      }))
      .sort((a, b) => (a.command < b.command ? -1 : 1))
    const width = Math.max(...commands.map(({ command }) => command.length))
    for (const { command, description } of commands) this.log(`${command.padEnd(width)}  ${description}`)
    return { commands }
  }
}
