import { existsSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs'
import { basename, dirname, join, relative, resolve } from 'node:path'
import { parseArgs } from 'node:util'
import { type Answers, KINDS, type Kind, LANGUAGES, type Language, nameFault, schemeFault } from './answers.js'
import { filesOf } from './files-of.js'

const HELP = `npm create ferrite-migrate-plugin [FOLDER] -- [FLAGS]

  --kind KIND          ${KINDS.join(', ')} [default: source]
  --name NAME          of the package [default: the folder's]
  --scheme SCHEME      of its addresses, or the type of its rule
  --language LANGUAGE  ${LANGUAGES.join(', ')} [default: typescript]
  --yes                do not ask: what is not given has its default
`

/** What was given wrong: a line for the screen. */
class Refusal extends Error {}

/** Asks what is not given, and writes the files. Sets the exit code: 0 made, 2 wrong use, 130 interrupted. */
export async function run(argv: readonly string[]): Promise<void> {
  try {
    const made = await create(argv)
    if (made === null) return
    const { folder, answers } = made
    const there = relative(process.cwd(), folder)
    process.stdout.write(
      [
        `Made ${answers.name}${there === '' ? '' : ` in ${there}`}. Next:`,
        '',
        ...(there === '' ? [] : [`  cd ${there}`]),
        '  npm install',
        '  npm test',
        '',
        'Then change src, and try it with ferrite-migrate migrate --plugin . (see README.md).',
        '',
      ].join('\n'),
    )
  } catch (error) {
    if (error instanceof Error && error.name === 'ExitPromptError') process.exitCode = 130
    else if (error instanceof Refusal || (error as NodeJS.ErrnoException).code?.startsWith('ERR_PARSE_ARGS') === true) {
      process.stderr.write(`${(error as Error).message}\n\n${HELP}`)
      process.exitCode = 2
    } else throw error
  }
}

async function create(argv: readonly string[]): Promise<{ folder: string; answers: Answers } | null> {
  const { values, positionals } = parseArgs({
    args: [...argv],
    allowPositionals: true,
    options: {
      kind: { type: 'string' },
      name: { type: 'string' },
      scheme: { type: 'string' },
      language: { type: 'string' },
      yes: { type: 'boolean', short: 'y' },
      help: { type: 'boolean', short: 'h' },
    },
  })
  if (values.help === true) {
    process.stdout.write(HELP)
    return null
  }
  const asks = values.yes !== true && process.stdin.isTTY === true
  const kind = among<Kind>(values.kind ?? (asks ? await choose('What does it bring?', KINDS) : 'source'), KINDS, 'kind')
  const folder = resolve(positionals[0] ?? (asks ? await type('Folder:', `ferrite-migrate-my-${kind}`) : '.'))
  const fallback = basename(folder).toLowerCase()
  const name = values.name ?? (asks ? await type('Name of the package:', fallback, nameFault) : fallback)
  mustBe(nameFault(name), `--name ${name}`)
  const short = name
    .replace(/^.*\//, '')
    .replace(/^ferrite-migrate-/, '')
    .replace(/[^a-z0-9+-]/g, '')
  const what = kind === 'transform' ? 'Type of its rule:' : 'Scheme of its addresses:'
  const scheme = values.scheme ?? (asks ? await type(what, short, schemeFault) : short)
  mustBe(schemeFault(scheme), `--scheme ${scheme}`)
  const language = among<Language>(
    values.language ?? (asks ? await choose('Language:', LANGUAGES) : 'typescript'),
    LANGUAGES,
    'language',
  )
  if (existsSync(folder) && readdirSync(folder).length > 0)
    throw new Refusal(`${folder} is not empty: nothing was written.`)
  const answers = { kind, name, scheme, language }
  for (const [path, text] of filesOf(answers)) {
    mkdirSync(dirname(join(folder, path)), { recursive: true })
    writeFileSync(join(folder, path), text)
  }
  return { folder, answers }
}

function among<T extends string>(value: string, choices: readonly T[], flag: string): T {
  const found = choices.find((choice) => choice === value)
  if (found === undefined) throw new Refusal(`--${flag} must be one of ${choices.join(', ')}, not "${value}".`)
  return found
}

function mustBe(fault: string | true, what: string): void {
  if (fault !== true) throw new Refusal(`${what}: ${fault}`)
}

async function choose<T extends string>(message: string, choices: readonly T[]): Promise<T> {
  const { default: select } = await import('@inquirer/select')
  return select({ message, choices: choices.map((value) => ({ value, name: value })) })
}

async function type(message: string, fallback: string, validate?: (text: string) => string | true): Promise<string> {
  const { default: input } = await import('@inquirer/input')
  return input({ message, default: fallback, ...(validate === undefined ? {} : { validate }) })
}
