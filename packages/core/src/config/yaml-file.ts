import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { MigrateError } from '@ferrite-migrate/contracts'
import * as v from 'valibot'
import type { Document } from 'yaml'

const load = createRequire(import.meta.url)
/** 10 MB of memory that a run without a file does not need. */
const yaml = (): typeof import('yaml') => load('yaml') as typeof import('yaml')

/** Characters of a file, and values that its aliases may come to. */
const MOST_TEXT = 4 << 20
const MOST_ALIASES = 100

/** Fields that are text whatever they look like. */
const TEXT = new Set(['password', 'username', 'user', 'sentinel_password', 'sentinel_username'])

/** Something wrong at one place of a text. */
interface Problem {
  readonly offset: number
  readonly text: string
}

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
  const { LineCounter, parseDocument } = yaml()
  const lines = new LineCounter()
  if (text.length > MOST_TEXT)
    throw new MigrateError(kind.code, `the ${kind.noun} ${name} has more than ${MOST_TEXT} characters`, kind.hint)
  const document = guarded(kind, name, () =>
    parseDocument(text, { lineCounter: lines, prettyErrors: false, uniqueKeys: true }),
  )
  const problems: Problem[] = [...document.errors].map((error) => ({ offset: error.pos[0], text: error.message }))
  const failure = (list: readonly Problem[]): MigrateError =>
    new MigrateError(
      kind.code,
      [...list]
        .sort((a, b) => a.offset - b.offset)
        .slice(0, 20)
        .map(({ offset, text: what }) => {
          const { line, col } = lines.linePos(offset)
          return `${name}, line ${line}, column ${col}: ${what}`
        })
        .join('\n'),
      kind.hint,
    )
  const unset: { path: readonly string[]; name: string }[] = []
  if (problems.length === 0 && environment !== null)
    problems.push(...substitute(document, environment, kind.lenient, unset))
  if (problems.length === 0) {
    const plain: unknown = guarded(kind, name, () => document.toJS({ maxAliasCount: MOST_ALIASES }))
    const checked = guarded(kind, name, () => v.safeParse(schema, plain ?? {}))
    if (checked.success)
      return {
        value: checked.output,
        unset,
        fail: (path, what) => failure([{ offset: offsetOf(document, path), text: `${path.join('.')}: ${what}` }]),
      }
    problems.push(...checked.issues.flatMap((issue) => toProblems(document, issue)))
  }
  throw failure(problems)
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

/** Puts the environment into the scalars. A plain value that becomes a number or a boolean is one. */
function substitute(
  document: Document,
  environment: NodeJS.ProcessEnv,
  lenient: string | undefined,
  unset: { path: readonly string[]; name: string }[],
): Problem[] {
  const { isPair, isScalar, Scalar, visit } = yaml()
  const problems: Problem[] = []
  visit(document, {
    Scalar(key, node, path) {
      if (key === 'key') return
      const parent = path.at(-1)
      const verbatim = isPair(parent) && isScalar(parent.key) && TEXT.has(String(parent.key.value))
      // A password of digits is text all the same, leading zeros included.
      if (verbatim && typeof node.value === 'number') node.value = node.source ?? String(node.value)
      if (typeof node.value !== 'string' || !node.value.includes('${')) return
      const text = node.value.replace(
        /\$\{([A-Za-z_][A-Za-z0-9_]*)(?::-([^}]*))?\}/g,
        (_, name: string, fallback?: string) => {
          const value = environment[name]
          if (value !== undefined && (value !== '' || fallback === undefined)) return value
          if (fallback !== undefined) return fallback
          const names = path.flatMap((one) => (isPair(one) && isScalar(one.key) ? [String(one.key.value)] : []))
          if (lenient !== undefined && names[0] === lenient) unset.push({ path: names.slice(1), name })
          else problems.push({ offset: node.range?.[0] ?? 0, text: `the environment variable ${name} is not set` })
          return ''
        },
      )
      const plain = node.type === Scalar.PLAIN && !verbatim
      node.value =
        plain && /^-?\d{1,15}$/.test(text)
          ? Number(text)
          : plain && /^(true|false)$/.test(text)
            ? text === 'true'
            : text
    },
  })
  return problems
}

/** Where a field stands: at its key, or the nearest thing that is there. */
function offsetOf(document: Document, path: readonly (string | number)[]): number {
  const { isMap, isNode, isScalar, isSeq } = yaml()
  let node: unknown = document.contents
  let offset = isNode(node) ? (node.range?.[0] ?? 0) : 0
  for (const step of path) {
    if (isMap(node)) {
      const pair = node.items.find((item) => (isScalar(item.key) ? String(item.key.value) : '') === String(step))
      if (pair === undefined) break
      if (isNode(pair.key)) offset = pair.key.range?.[0] ?? offset
      node = pair.value
    } else if (isSeq(node)) {
      node = node.items[Number(step)]
      if (isNode(node)) offset = node.range?.[0] ?? offset
    } else break
  }
  return offset
}

function toProblems(document: Document, issue: v.BaseIssue<unknown>): Problem[] {
  // Of a choice between forms the branch that comes nearest tells most.
  const deeper = (issue.issues ?? []).filter((one) => one.path !== undefined && one.type !== 'object')
  if (deeper.length > 0)
    return deeper.flatMap((one) =>
      toProblems(document, { ...one, path: [...(issue.path ?? []), ...(one.path ?? [])] } as v.BaseIssue<unknown>),
    )
  const path = (issue.path ?? []).map((step) => (step.type === 'array' ? Number(step.key) : String(step.key)))
  const field = path.join('.') || 'the file'
  const offset = offsetOf(document, path)
  if (issue.type === 'strict_object' && issue.expected === 'never')
    return [{ offset, text: `${field}: there is no such field` }]
  if (issue.received === 'undefined') return [{ offset, text: `${field}: is missing` }]
  // What was received may be a password in the wrong place.
  const said = /must be|such as|only|a scheme/.test(issue.message)
    ? issue.message
    : `must be ${issue.expected ?? 'something else'}, not ${issue.received.startsWith('"') ? 'text' : issue.received}`
  return [{ offset, text: `${field}: ${said.replace(/^Invalid \w+: /, '')}` }]
}
