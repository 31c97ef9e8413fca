import { MigrateError } from '@ferrite-migrate/contracts'
import { nearest } from '@ferrite-migrate/core'

/** What oclif refuses while it parses a command line, told as every other error: code, what is wrong, what to do. */
interface ParseError extends Error {
  readonly flags?: readonly unknown[]
}

const BIN = 'ferrite-migrate'

/**
 * An error of the command line.
 * @param command the command's words, such as `config validate`; '' = it is not known
 * @param flags names of the command's flags, for what may have been meant
 */
export function usageError(error: ParseError, command: string, flags: readonly string[]): MigrateError {
  const help = `${BIN} ${command === '' ? '' : `${command} `}--help shows all.`
  const unknown = /^Nonexistent flags?: (.*)/.exec(error.message)?.[1]
  if (unknown !== undefined) {
    const [first] = unknown.split(',')
    const meant = nearest(first.trim().replace(/^-+/, ''), flags)
    return fault(`there is no flag ${unknown}`, meant === undefined ? help : `Did you mean --${meant}? ${help}`)
  }
  return fault(inWords(error.message), help)
}

function fault(message: string, hint: string): MigrateError {
  return new MigrateError('FM_USAGE', message, hint)
}

/** The sentences of oclif's parser, shorter. */
function inWords(text: string): string {
  const plain = text
    .replace(/^The following errors? occurred:\s*/, '')
    .replace(/\nSee more help with --help.*$/s, '')
    .trim()
  const cases: readonly (readonly [RegExp, (match: RegExpExecArray) => string])[] = [
    [/^Missing required flag (\S+)/, ([, name]) => `--${name.replace(/^-+/, '')} is missing`],
    [/^Missing \d+ required args?:\s*(\S+)/, ([, name]) => `${name.toUpperCase()} is missing`],
    [/^Unexpected arguments?: (.*)/, ([, words]) => `takes no such argument: ${words}`],
    [
      /^Expected (--?\S+?)=(.*) to be one of: (.*)/s,
      ([, flag, value, list]) => `${flag} must be one of ${list}, not "${value}"`,
    ],
    [/^Flag (--?\S+) expects a value/, ([, flag]) => `${flag} needs a value`],
    [
      /^Parsing (--?\S+)\s+Expected an integer but received: (.*)/s,
      ([, flag, value]) => `${flag} must be a whole number, not "${value}"`,
    ],
    [
      /^Parsing (--?\S+)\s+Expected an integer (greater|less) than or equal to (\S+) but received: (.*)/s,
      ([, flag, way, bound, value]) =>
        `${flag} must be ${way === 'greater' ? 'at least' : 'at most'} ${bound}, not ${value}`,
    ],
    [
      /^All of the following must be provided when using (--?\S+?): (.*)/,
      ([, flag, others]) => `${flag} needs ${others}`,
    ],
    [
      /^(--?\S+?)=.* cannot also be provided when using (--?\S+)/,
      ([, one, other]) => `${one} and ${other} exclude each other`,
    ],
  ]
  for (const [pattern, say] of cases) {
    const match = pattern.exec(plain)
    if (match !== null) return say(match)
  }
  return plain.split('\n').slice(0, 4).join('; ')
}
