import { readFileSync } from 'node:fs'
import { MigrateError } from '@ferrite-migrate/contracts'
import * as v from 'valibot'
import { type Problem, YamlTree } from './yaml-tree.js'

/** Characters of a file. */
const MOST_TEXT = 4 << 20

/** Fields that are text whatever they look like. */
const TEXT = new Set(['password', 'username', 'user', 'sentinel_password', 'sentinel_username'])

/** What kind of file is read, for messages. */
export interface YamlKind {
  /** As in "the configuration x.yaml cannot be read". */
  readonly noun: string
  readonly code: `FM_${string}`
  readonly hint: string
  /** The field whose values may name variables that are not set: they are empty then, and `YamlFile.unset` tells which. */
  readonly lenient?: string
}

/** A file that was read and checked. */
export interface YamlFile<T> {
  readonly value: T
  /** Variables that are not set, in the field where that is allowed: the path of the value, and the name. */
  readonly unset: readonly { readonly path: readonly string[]; readonly name: string }[]
  /** An error at the place of a field, for what a schema cannot check. */
  fail(path: readonly (string | number)[], text: string): MigrateError
}

/** The text of a file. @throws MigrateError FM_FILE_UNREADABLE */
export function readText(path: string, noun: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch (cause) {
    throw new MigrateError(
      'FM_FILE_UNREADABLE',
      `the ${noun} ${path} cannot be read (${(cause as NodeJS.ErrnoException).code ?? 'error'})`,
      'Check the path and its permissions.',
      { cause },
    )
  }
}

/**
 * Checks a YAML text against a schema. `${VAR}` and `${VAR:-default}` in values come from the environment, if one is given.
 * @throws MigrateError of the kind's code naming line, column and field of everything that is wrong
 */
export function parseYaml<S extends v.GenericSchema>(
  text: string,
  name: string,
  schema: S,
  kind: YamlKind,
  environment: NodeJS.ProcessEnv | null,
): YamlFile<v.InferOutput<S>> {
  if (text.length > MOST_TEXT)
    throw new MigrateError(kind.code, `the ${kind.noun} ${name} has more than ${MOST_TEXT} characters`, kind.hint)
  const failure = (list: readonly Problem[]): MigrateError =>
    new MigrateError(
      kind.code,
      [...list]
        .sort((a, b) => a.offset - b.offset)
        .slice(0, 20)
        .map(({ offset, text: what }) => `${name}, ${placeOf(text, offset)}: ${what}`)
        .join('\n'),
      kind.hint,
    )
  const tree = guarded(kind, name, () => YamlTree.parse(text))
  if (!(tree instanceof YamlTree)) throw failure([tree])
  const unset: { path: readonly string[]; name: string }[] = []
  const problems = environment === null ? [] : substitute(tree, environment, kind.lenient, unset)
  if (problems.length === 0) {
    const plain = guarded(kind, name, () => tree.toJs())
    const checked = guarded(kind, name, () => v.safeParse(schema, plain ?? {}))
    if (checked.success)
      return {
        value: checked.output,
        unset,
        fail: (path, what) => failure([{ offset: tree.offsetOf(path), text: `${path.join('.')}: ${what}` }]),
      }
    problems.push(...checked.issues.flatMap((issue) => toProblems(tree, issue)))
  }
  throw failure(problems)
}

/** Line and column, from 1, as an editor counts them. */
function placeOf(text: string, offset: number): string {
  const before = text.slice(0, offset)
  return `line ${before.split('\n').length}, column ${offset - before.lastIndexOf('\n')}`
}

/** Aliases that multiply and nesting without end are mistakes in the file, not of the tool. */
function guarded<T>(kind: YamlKind, name: string, work: () => T): T {
  try {
    return work()
  } catch (error) {
    if (error instanceof MigrateError) throw error
    throw new MigrateError(
      kind.code,
      `the ${kind.noun} ${name} cannot be read: ${error instanceof RangeError ? 'it is nested too deep' : (error as Error).message}`,
      kind.hint,
    )
  }
}

/** Puts the environment into the values. A plain one that becomes a number or a boolean is one. */
function substitute(
  tree: YamlTree,
  environment: NodeJS.ProcessEnv,
  lenient: string | undefined,
  unset: { path: readonly string[]; name: string }[],
): Problem[] {
  const problems: Problem[] = []
  for (const scalar of tree.values) {
    const { names, offset } = scalar
    // A password of digits is text all the same, leading zeros included.
    const verbatim = TEXT.has(names.at(-1) ?? '')
    if (verbatim) scalar.isText = true
    if (!scalar.isText || !scalar.text.includes('${')) continue
    scalar.text = scalar.text.replace(
      /\$\{([A-Za-z_][A-Za-z0-9_]*)(?::-([^}]*))?\}/g,
      (_, name: string, fallback?: string) => {
        const value = environment[name]
        if (value !== undefined && (value !== '' || fallback === undefined)) return value
        if (fallback !== undefined) return fallback
        if (lenient !== undefined && names[0] === lenient) unset.push({ path: names.slice(1), name })
        else problems.push({ offset, text: `the environment variable ${name} is not set` })
        return ''
      },
    )
    if (scalar.plain && !verbatim && /^(-?\d{1,15}|true|false)$/.test(scalar.text)) scalar.isText = false
  }
  return problems
}

function toProblems(tree: YamlTree, issue: v.BaseIssue<unknown>): Problem[] {
  return wrongPlaces(issue).map(({ path, text }) => ({ offset: tree.offsetOf(path), text }))
}

/** What is wrong, in a sentence for each field; values are not in it. */
export function wrongFields(issue: v.BaseIssue<unknown>): string[] {
  return wrongPlaces(issue).map(({ text }) => text)
}

interface WrongPlace {
  readonly path: readonly (string | number)[]
  readonly text: string
}

function wrongPlaces(issue: v.BaseIssue<unknown>): WrongPlace[] {
  // Of a choice between forms the branch that comes nearest tells most.
  const deeper = (issue.issues ?? []).filter((one) => one.path !== undefined && one.type !== 'object')
  if (deeper.length > 0)
    return deeper.flatMap((one) =>
      wrongPlaces({ ...one, path: [...(issue.path ?? []), ...(one.path ?? [])] } as v.BaseIssue<unknown>),
    )
  const path = (issue.path ?? []).map((step) => (step.type === 'array' ? Number(step.key) : String(step.key)))
  const field = path.join('.') || 'the file'
  if (issue.type === 'strict_object' && issue.expected === 'never')
    return [{ path, text: `${field}: there is no such field` }]
  if (issue.received === 'undefined') return [{ path, text: `${field}: is missing` }]
  // What was received may be a password in the wrong place.
  const said = /must be|such as|only|a scheme/.test(issue.message)
    ? issue.message
    : `must be ${issue.expected ?? 'something else'}${kindOfValue(issue)}`
  return [{ path, text: `${field}: ${said.replace(/^Invalid \w+: /, '')}` }]
}

/** What kind of thing was there instead, where that says more than what it had to be; never the value. */
function kindOfValue({ type, received, input }: v.BaseIssue<unknown>): string {
  if (type === 'picklist' && typeof input === 'string') return ', and is none of these'
  return `, not ${received.startsWith('"') ? 'text' : typeof input === 'number' ? 'a number' : received}`
}
