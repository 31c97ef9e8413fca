import { readFileSync, writeFileSync } from 'node:fs'
import { resolve } from 'node:path'
import ToolHelp from '@ferrite-migrate/cli/help'
import { type Command, Config } from '@oclif/core'

/** docs/cli.md, made from the help of every command: `node tools/lint/dist/cli-page.js` checks it, `--write` makes it. */
const ROOT = resolve(import.meta.dirname, '..', '..', '..')
const FILE = resolve(ROOT, 'docs', 'cli.md')

const INTRODUCTION = `# Commands

All commands of \`ferrite-migrate\` with all plugins, as \`ferrite-migrate COMMAND --help\` shows them. Without a command, flags are those of \`migrate\`. This page is made from the program (\`npm run schema\`).

\`ferrite-migrate autocomplete bash\` (\`zsh\`, \`powershell\`) says how commands and flags are completed by the Tab key; for fish: \`ferrite-migrate completions fish > ~/.config/fish/completions/ferrite-migrate.fish\`.

Exit codes: 0 done, 1 failed, 2 usage or configuration, 3 differences, 4 refused by a preflight check, 130 interrupted.
`

/** Keeps what would be printed. */
class WrittenHelp extends ToolHelp {
  private text = ''

  protected override log(...args: string[]): void {
    this.text += `${args.join(' ')}\n`
  }

  async of(command: Command.Loadable): Promise<string> {
    this.text = ''
    await this.showCommandHelp(command)
    return this.text.trim()
  }
}

const home = '/home/you'
process.env.HOME = home
const config = await Config.load(resolve(ROOT, 'apps', 'ferrite-migrate'))
const help = new WrittenHelp(config, { stripAnsi: true, maxWidth: 100 })
const sections: string[] = []
for (const command of config.commands.toSorted((a, b) => a.id.localeCompare(b.id))) {
  if (command.hidden) continue
  const name = command.id.replaceAll(':', ' ')
  const text = (await help.of(command)).replaceAll(ROOT, '.').replace(/[^\S\n]+$/gm, '')
  sections.push(`## ${name}\n\n\`\`\`text\n${text}\n\`\`\`\n`)
}
const page = `${INTRODUCTION}\n${sections.join('\n')}`
if (process.argv.includes('--write')) writeFileSync(FILE, page)
else if (readFileSync(FILE, 'utf8') !== page) {
  console.error('docs/cli.md is not what the commands say of themselves: npm run schema')
  process.exitCode = 1
}
