import type { Command } from '@oclif/core'

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
    for (const [name, flag] of Object.entries(flags ?? {})) {
      if (flag.hidden === true) continue
      const short = flag.char === undefined ? '' : ` -s ${flag.char}`
      const choices =
        flag.type === 'option' && flag.options !== undefined
          ? ` -x -a ${quoted(flag.options.join(' '))}`
          : flag.type === 'option'
            ? ' -r -F'
            : ''
      const text = firstLine(flag.summary ?? flag.description)
      lines.push(`complete -c ${bin} -n ${quoted(within)} -l ${name}${short}${choices} -d ${quoted(text)}`)
    }
  }
  return `${lines.join('\n')}\n`
}

function seen(word: string): string {
  return `__fish_seen_subcommand_from ${word}`
}
