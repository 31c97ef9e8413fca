import { type JsonSchema, oneLine, referred, TABLES } from './json-schema.js'

const KEYWORDS: ReadonlySet<string> = new Set(['from', 'import', 'class', 'def', 'global', 'in', 'is', 'not', 'with'])

const PLAIN: Readonly<Record<string, string>> = {
  string: 'str',
  number: 'float',
  integer: 'int',
  boolean: 'bool',
  null: 'None',
}

/**
 * The definitions of a schema as Python's TypedDicts, for packages/sdk-python: what the tool says, under the names that it says it by.
 * @throws Error where a definition has a form that has no type here
 */
export function pythonTypes(definitions: Readonly<Record<string, unknown>>): string {
  const blocks = Object.entries(definitions).flatMap(([name, schema]) => block(name, schema as JsonSchema) ?? [])
  const typing = ['Dict', 'List', 'Literal', 'TypedDict', 'Union'].filter((name) =>
    blocks.some((text) => new RegExp(`\\b${name}\\b`).test(text)),
  )
  return [
    '"""What the tool says, by the names of docs/protocol.md. Made from protocol.schema.json: npm run schema."""',
    'from __future__ import annotations',
    `from typing import ${typing.join(', ')}\n`,
    ...blocks.map((text) => `${text}\n`),
  ].join('\n\n')
}

/** Null for tables of methods and notifications, whose names are none that a class can have. */
function block(name: string, schema: JsonSchema): string | null {
  const said = schema.description === undefined ? '' : `    """${docstring(schema.description)}"""\n\n`
  if (TABLES.has(name)) return null
  if (schema.properties === undefined) return `${name} = ${hint(schema, name, true)}`
  const entries = Object.entries(schema.properties)
  if (entries.some(([key]) => KEYWORDS.has(key))) return functional(name, schema)
  const needed = entries.filter(([key]) => schema.required?.includes(key))
  const others = entries.filter(([key]) => !schema.required?.includes(key))
  const fields = (of: typeof entries): string => of.map(([key, one]) => field(name, key, one)).join('')
  if (others.length === 0) return `class ${name}(TypedDict):\n${said}${fields(needed)}`.trimEnd()
  const base = needed.length === 0 ? '' : `class _${name}(TypedDict):\n${fields(needed)}\n\n`
  const parent = needed.length === 0 ? 'TypedDict' : `_${name}`
  return `${base}class ${name}(${parent}, total=False):\n${said}${fields(others)}`.trimEnd()
}

/** The form for fields that are called as a word of the language is. */
function functional(name: string, { properties = {}, required = [] }: JsonSchema): string {
  const entries = Object.entries(properties)
  const fields = entries.map(([key, one]) => `    ${JSON.stringify(key)}: ${hint(one, `${name}.${key}`, true)},\n`)
  const whole = entries.every(([key]) => required.includes(key))
  return `${name} = TypedDict(${JSON.stringify(name)}, {\n${fields.join('')}}${whole ? '' : ', total=False'})`
}

function field(owner: string, key: string, schema: JsonSchema): string {
  const said = schema.description === undefined ? '' : `    """${docstring(schema.description)}"""\n`
  return `    ${key}: ${hint(schema, `${owner}.${key}`, false)}\n${said}`
}

/** @param quoted names of other definitions are not there yet */
function hint(schema: JsonSchema, at: string, quoted: boolean): string {
  const { $ref, anyOf, type } = schema
  if ($ref !== undefined) {
    const name = referred($ref)
    return quoted ? `"${name}"` : name
  }
  if (anyOf !== undefined) return union(anyOf.map((one) => hint(one, at, quoted)))
  if (schema.const !== undefined) return `Literal[${literal(schema.const, at)}]`
  if (schema.enum !== undefined) return `Literal[${schema.enum.map((one) => literal(one, at)).join(', ')}]`
  if (Array.isArray(type)) return union(type.map((one) => hint({ ...schema, type: one }, at, quoted)))
  if (type === 'array' && schema.items !== undefined) return `List[${hint(schema.items, at, quoted)}]`
  if (type === 'object' && typeof schema.additionalProperties === 'object' && schema.properties === undefined)
    return `Dict[str, ${hint(schema.additionalProperties, at, quoted)}]`
  // An object without a name of its own: its fields are in docs/protocol.md.
  if (type === 'object') return 'Dict[str, object]'
  const plain = typeof type === 'string' ? PLAIN[type] : undefined
  if (plain === undefined) throw new Error(`${at} has a form without a type in Python: ${JSON.stringify(schema)}`)
  return plain
}

function union(of: readonly string[]): string {
  return of.length === 1 ? of[0] : `Union[${of.join(', ')}]`
}

function literal(value: unknown, at: string): string {
  if (value === null) return 'None'
  if (typeof value === 'boolean') return value ? 'True' : 'False'
  if (typeof value === 'string') return JSON.stringify(value)
  throw new Error(`${at} has a constant that is no literal in Python: ${JSON.stringify(value)}`)
}

function docstring(text: string): string {
  return oneLine(text).replaceAll('\\', '\\\\').replaceAll('"""', "'''")
}
