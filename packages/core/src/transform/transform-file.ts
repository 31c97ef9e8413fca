import * as v from 'valibot'
import { parseYaml, readText, type YamlFile, type YamlKind } from '../config/yaml-file.js'
import { CONVERSIONS } from './conversion.js'

const text = v.pipe(v.string(), v.minLength(1))
const db = v.pipe(v.number(), v.integer(), v.minValue(0), v.maxValue(65535))
const optional = v.optional

const scope = {
  /** Keys by their name at the source: a Redis glob, or several. */
  match: optional(v.union([text, v.array(text)])),
  db: optional(v.union([db, v.array(db)])),
}

const keyRuleSchema = v.variant('type', [
  v.strictObject({ type: v.literal('prefix'), value: text, ...scope }),
  v.strictObject({ type: v.literal('strip_prefix'), value: text, ...scope }),
  v.strictObject({ type: v.literal('rename'), from: text, to: v.string(), ...scope }),
])

const valueScope = {
  ...scope,
  types: optional(v.pipe(v.array(v.picklist(['string', 'list', 'set', 'zset', 'hash', 'stream'])), v.minLength(1))),
  /** Which part: a hash or stream field (glob), a list index. */
  path: optional(v.union([text, v.pipe(v.number(), v.integer())])),
}
const conversion = v.picklist(CONVERSIONS)

const valueRuleSchema = v.variant('type', [
  v.strictObject({ type: v.literal('convert'), from: conversion, to: conversion, ...valueScope }),
  v.strictObject({ type: v.literal('jq'), filter: text, ...valueScope }),
  /** A rule that a plugin brings; its own fields are options of that plugin. */
  v.objectWithRest(
    { type: v.pipe(v.string(), v.regex(/^[a-z][a-z0-9-]*$/, 'a rule such as convert, jq')), ...valueScope },
    v.union([v.string(), v.number(), v.boolean()]),
  ),
])

/** The layout of transform.yaml. */
export const transformSchema = v.strictObject({
  transformations: v.strictObject({
    keys: optional(v.array(keyRuleSchema), []),
    values: optional(v.array(valueRuleSchema), []),
  }),
})

export type KeyRuleSpec = v.InferOutput<typeof keyRuleSchema>
export type ValueRuleSpec = v.InferOutput<typeof valueRuleSchema>
export type TransformRules = v.InferOutput<typeof transformSchema>['transformations']

const KIND: YamlKind = {
  noun: 'transform file',
  code: 'FM_TRANSFORM_INVALID',
  hint: 'docs/transformation.md lists all rules; ferrite-migrate transform test shows what they do.',
}

/**
 * Reads transform.yaml.
 * @throws MigrateError FM_FILE_UNREADABLE; FM_TRANSFORM_INVALID naming line, column and field of everything that is wrong
 */
export function readTransformFile(path: string): YamlFile<{ transformations: TransformRules }> {
  return parseYaml(readText(path, KIND.noun), path, transformSchema, KIND, null)
}
