import { type JsonSchema, oneLine, referred, TABLES } from './json-schema.js'

const KEYWORDS: ReadonlySet<string> = new Set([
  'type',
  'match',
  'in',
  'move',
  'ref',
  'use',
  'where',
  'fn',
  'loop',
  'mod',
])
const PLAIN: Readonly<Record<string, string>> = { string: 'String', number: 'f64', integer: 'i64', boolean: 'bool' }
const DERIVES = '#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]'

/**
 * The definitions of a schema as Rust's structs and enums, for packages/sdk-rust: what the tool says. Numbers are `f64`, as JSON has
 * them; a word that a later tool may say is `Other`.
 */
export function rustTypes(definitions: Readonly<Record<string, unknown>>): string {
  const inline: string[] = []
  const blocks = Object.entries(definitions).flatMap(([name, schema]) =>
    TABLES.has(name) ? [] : [block(name, schema as JsonSchema, inline)],
  )
  return `${[
    '//! What the tool says, by the names of docs/protocol.md. Made from protocol.schema.json: npm run schema.',
    '#![allow(clippy::doc_markdown, clippy::struct_excessive_bools)]',
    'use serde::{Deserialize, Serialize};\nuse std::collections::BTreeMap;',
    ...blocks,
    ...inline,
  ].join('\n\n')}\n`
}

function block(name: string, schema: JsonSchema, inline: string[]): string {
  if (schema.enum?.every((one) => typeof one === 'string')) return words(name, schema.enum, schema.description)
  if (schema.properties === undefined)
    return `${doc(schema.description ?? `As the tool has it.`, '')}pub type ${name} = ${typeOf(schema, name, inline)};`
  const fields = Object.entries(schema.properties).map(([key, one]) => {
    const needed = schema.required?.includes(key) === true
    const snake = snakeOf(key)
    const type = typeOf(one, `${name}${pascalOf(key)}`, inline)
    const optional = needed || type.startsWith('Option<') ? type : `Option<${type}>`
    const attributes = [
      ...(camelOf(snake) === key ? [] : [`rename = ${JSON.stringify(key)}`]),
      ...(needed ? [] : ['default', 'skip_serializing_if = "Option::is_none"']),
    ]
    const serde = attributes.length === 0 ? '' : `    #[serde(${attributes.join(', ')})]\n`
    return `${doc(one.description ?? `\`${key}\`.`, '    ')}${serde}    pub ${KEYWORDS.has(snake) ? `r#${snake}` : snake}: ${optional},`
  })
  return `${doc(schema.description ?? `As the tool has it.`, '')}${DERIVES}\n#[serde(rename_all = "camelCase")]\n#[non_exhaustive]\npub struct ${name} {\n${fields.join('\n')}\n}`
}

function words(name: string, values: readonly unknown[], description: string | undefined): string {
  const variants = values.map(
    (value) =>
      `    /** \`${String(value)}\` */\n    #[serde(rename = ${JSON.stringify(value)})]\n    ${pascalOf(String(value).toLowerCase())},`,
  )
  return `${doc(description ?? 'A word of the tool.', '')}#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Deserialize, Serialize)]\n#[non_exhaustive]\npub enum ${name} {\n${variants.join('\n')}\n    /** One that this version does not know. */\n    #[serde(other)]\n    Other,\n}`
}

function typeOf(schema: JsonSchema, name: string, inline: string[]): string {
  const { $ref, anyOf, type } = schema
  if ($ref !== undefined) return referred($ref)
  if (anyOf !== undefined) {
    const others = anyOf.filter((one) => one.type !== 'null')
    // What can be of several forms is left as it came.
    const inner = others.length === 1 ? typeOf(others[0], name, inline) : 'serde_json::Value'
    return others.length === anyOf.length ? inner : `Option<${inner}>`
  }
  if (Array.isArray(type)) {
    const others = type.filter((one) => one !== 'null')
    const inner = others.length === 1 ? typeOf({ ...schema, type: others[0] }, name, inline) : 'serde_json::Value'
    return others.length === type.length ? inner : `Option<${inner}>`
  }
  const listed = schema.enum ?? (schema.const === undefined ? undefined : [schema.const])
  if (listed?.every((one) => typeof one === 'string')) {
    inline.push(words(name, listed, schema.description))
    return name
  }
  if (type === 'array' && schema.items !== undefined) return `Vec<${typeOf(schema.items, name, inline)}>`
  if (type === 'object' && typeof schema.additionalProperties === 'object' && schema.properties === undefined)
    return `BTreeMap<String, ${typeOf(schema.additionalProperties, name, inline)}>`
  if (type === 'object' && schema.properties !== undefined) {
    inline.push(block(name, schema, inline))
    return name
  }
  return (typeof type === 'string' ? PLAIN[type] : undefined) ?? 'serde_json::Value'
}

function doc(text: string, indent: string): string {
  return `${indent}/// ${oneLine(text)}\n`
}

/** `keyBase64` is `key_base64`. */
function snakeOf(key: string): string {
  return key
    .replace(/[^A-Za-z0-9]+/g, '_')
    .replace(/([a-z0-9])([A-Z])/g, '$1_$2')
    .toLowerCase()
}

/** As serde makes it of a field's name. */
function camelOf(snake: string): string {
  return snake.replace(/_([a-z0-9])/g, (_, letter: string) => letter.toUpperCase())
}

function pascalOf(key: string): string {
  return key
    .split(/[^A-Za-z0-9]+/)
    .filter((part) => part !== '')
    .map((part) => part[0].toUpperCase() + part.slice(1))
    .join('')
}
