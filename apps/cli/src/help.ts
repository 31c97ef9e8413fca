import { adapterFlags, fit, loadedPlugins, opensSource } from '@ferrite-migrate/cli-kit'
import { type Command, CommandHelp, Help } from '@ferrite-migrate/cli-kit/oclif'
import { Registry } from '@ferrite-migrate/core'
import { unknownCommand } from './command-not-found.js'

/** The order of groups of flags: what everybody needs comes first. */
const GROUPS = [
  'SOURCE AND TARGET',
  'ROWS',
  'WHICH KEYS',
  'LIVE AND INCREMENTAL',
  'COMPARISON',
  'CUTOVER',
  'NAMES AND VALUES',
  'SAFETY',
  'SPEED',
  'GLOBAL',
]
/** Below so many columns a flag and its description stand one above the other. */
const TWO_COLUMNS = 60

/** Rows of name and description, nothing cut and no word broken. */
function list(rows: readonly (readonly (string | undefined)[])[], columns: number): string {
  const longest = Math.max(...rows.map(([left]) => left?.length ?? 0))
  const wide = columns >= TWO_COLUMNS
  const hang = wide ? Math.min(longest, Math.floor(columns * 0.45)) + 2 : 6
  return rows
    .map(([left = '', right]) => {
      if (!right) return left
      const lines = right.split('\n').flatMap((line) => fit([line], columns - hang, false))
      const beside = wide && left.length + 2 <= hang
      const [first, ...rest] = beside ? [left.padEnd(hang) + lines[0], ...lines.slice(1)] : [left, ...lines]
      return [first, ...rest.map((line) => ' '.repeat(hang) + line)].join('\n')
    })
    .join('\n')
}

class ToolCommandHelp extends CommandHelp {
  override renderList(rows: (string | undefined)[][], options: { indentation: number }): string {
    return list(rows, this.opts.maxWidth - options.indentation)
  }

  protected override groupFlags(flags: Command.Flag.Any[]): ReturnType<CommandHelp['groupFlags']> {
    const { mainFlags, flagGroups } = super.groupFlags(flags)
    const rank = (name: string): number => (GROUPS.includes(name) ? GROUPS.indexOf(name) : GROUPS.length)
    const sorted = Object.entries(flagGroups).sort(([a], [b]) => rank(a) - rank(b))
    return { mainFlags, flagGroups: Object.fromEntries(sorted) }
  }

  /** One line: what must be given, and that there are flags. */
  protected override defaultUsage(): string {
    const args = Object.values(this.command.args ?? {}).map(({ name, required }) =>
      required ? name.toUpperCase() : `[${name.toUpperCase()}]`,
    )
    return [this.command.id, ...args, '[FLAGS]'].join(' ')
  }
}

/** Help in groups, as wide as the terminal. */
export default class ToolHelp extends Help {
  protected override CommandHelpClass = ToolCommandHelp

  override async showHelp(argv: string[]): Promise<void> {
    const words = argv.filter((word) => !word.startsWith('-'))
    const known = words.length === 0 || words.some((_, i) => this.knows(words.slice(0, i + 1)))
    if (!known) throw unknownCommand(words.join(':'), this.config)
    await super.showHelp(argv)
  }

  /** Installed sources may have flags of their own. */
  override async showCommandHelp(command: Command.Loadable): Promise<void> {
    const flags = opensSource(command.flags) ? adapterFlags(new Registry(loadedPlugins(this.config))) : {}
    const cached: Record<string, Command.Flag.Cached> = {}
    for (const [name, { parse: _, ...flag }] of Object.entries(flags)) cached[name] = { ...flag, name }
    await super.showCommandHelp({ ...command, load: () => command.load(), flags: { ...command.flags, ...cached } })
  }

  private knows(words: readonly string[]): boolean {
    const id = words.join(':')
    return this.config.findCommand(id) !== undefined || this.config.findTopic(id) !== undefined
  }

  override renderList(rows: (string | undefined)[][], options: { indentation: number }): string {
    // Summaries were made as wide as the screen, and are wrapped anew beside their names.
    const whole = rows.map(([left, right]) => [left, right?.replaceAll('\n', ' ')])
    return list(whole, this.opts.maxWidth - options.indentation)
  }

  protected override summary(command: Command.Loadable): string | undefined {
    const text = super.summary(command)
    return text === undefined ? text : fit([text], this.opts.maxWidth).join('\n')
  }

  protected override async showRootHelp(): Promise<void> {
    await super.showRootHelp()
    this.log(
      fit(
        [`${this.config.bin} help COMMAND tells more; ${this.config.bin} wizard asks for what it needs.`],
        this.opts.maxWidth,
      ).join('\n'),
    )
  }
}
