import type { Command } from '@ferrite-migrate/cli-kit/oclif'

/** Between quotes a shell takes everything but these as it is. */
function quoted(text: string): string {
  return `'${text.replace(/[\\']/g, '\\$&')}'`
}

function firstLine(text: string | undefined): string {
  return (text ?? '').split('\n')[0]
}

/**
 * What fish needs to complete commands and flags. A command of two words is offered after its first one.
 * @param commands those that are offered
 */
export function fishCompletions(bin: string, commands: readonly Command.Loadable[]): string {
  const lines = [`# Completions of ${bin} for fish: ${bin} completions fish > ~/.config/fish/completions/${bin}.fish`]
  lines.push(`complete -c ${bin} -f`)
  const topics = new Set<string>()
  // Flags alone are those of `migrate`.
  for (const { id, flags } of commands)
    if (id === 'migrate') lines.push(...flagLines(bin, '__fish_use_subcommand', flags))
  for (const { id, summary, description, flags } of commands) {
    const [first, second] = id.split(':')
    const about = firstLine(summary ?? description)
    const within = second === undefined ? seen(first) : `${seen(first)}; and ${seen(second)}`
    if (second === undefined || !topics.has(first)) {
      topics.add(first)
      const text = second === undefined ? about : `Commands of ${first}`
      lines.push(`complete -c ${bin} -n __fish_use_subcommand -a ${first} -d ${quoted(text)}`)
    }
    if (second !== undefined)
      lines.push(
        `complete -c ${bin} -n ${quoted(`${seen(first)}; and not ${seen(second)}`)} -a ${second} -d ${quoted(about)}`,
      )
    lines.push(...flagLines(bin, within, flags))
  }
  return `${lines.join('\n')}\n`
}

function flagLines(bin: string, within: string, flags: Command.Loadable['flags']): string[] {
  return Object.entries(flags ?? {})
    .filter(([, flag]) => flag.hidden !== true)
    .map(([name, flag]) => {
      const short = flag.char === undefined ? '' : ` -s ${flag.char}`
      const text = firstLine(flag.summary ?? flag.description)
      return `complete -c ${bin} -n ${quoted(within)} -l ${name}${short}${takes(flag)} -d ${quoted(text)}`
    })
}

/** What may follow a flag: one of a few words, a file, or something that nobody can offer. */
function takes(flag: Command.Loadable['flags'][string]): string {
  if (flag.type !== 'option') return ''
  if (flag.options !== undefined) return ` -x -a ${quoted(flag.options.join(' '))}`
  return /FILE|DIR|PATH/.test(flag.helpValue?.toString() ?? '') ? ' -r -F' : ' -x'
}

function seen(word: string): string {
  return `__fish_seen_subcommand_from ${word}`
}
