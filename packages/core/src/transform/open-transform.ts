import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { extname } from 'node:path'
import { type AdapterContext, MigrateError, type Transform } from '@ferrite-migrate/contracts'
import type { Registry } from '../adapters/registry.js'
import type { ResolvedConfig } from '../config/config.js'
import { readText } from '../config/yaml-file.js'
import { conversionFault } from './conversion.js'
import { AffixRule, type KeyRule, keyRule } from './key-rule.js'
import {
  type ErrorPolicy,
  RecordTransform,
  type RecordTransformOptions,
  type TransformFault,
} from './record-transform.js'
import { readTransformFile, type ValueRuleSpec } from './transform-file.js'
import { conversion, type ItemFunction, pathFault, ValueRule } from './value-rule.js'

const PLACE = '{key}'
/** Fields of a value rule that say where it applies; everything else is for the plugin. */
const OWN_FIELDS = new Set(['type', 'match', 'types', 'db', 'path'])

type TransformConfig = Pick<
  ResolvedConfig,
  'keyTemplate' | 'dbMap' | 'transform' | 'transformScript' | 'onTransformError' | 'scriptOptions' | 'ttl' | 'ttlFactor'
>
type Context = Omit<AdapterContext, 'url' | 'options'>

/**
 * Everything that a configuration says of names and values, ready to be used. Close it after use.
 * @throws MigrateError FM_CONFIG_INVALID, FM_TRANSFORM_INVALID, FM_FILE_UNREADABLE, FM_PLUGIN_MISSING, FM_TRANSFORM_FAILED
 */
export async function openTransform(
  config: TransformConfig,
  registry: Pick<Registry, 'transform'>,
  context: Context,
  onFault?: (fault: TransformFault) => void,
): Promise<RecordTransform> {
  const opened: Transform[] = []
  const close = async (): Promise<void> => {
    for (const one of opened) await one[Symbol.asyncDispose]?.()
  }
  const open = async (
    name: string,
    url: string,
    options: Record<string, string | number | boolean>,
  ): Promise<Transform> => {
    const transform = await registry.transform(name, url, options, {
      ...context,
      firstFaultEnds: config.onTransformError === 'fail',
    })
    opened.push(transform)
    return transform
  }
  try {
    const { keyRules, valueRules } = await rulesOf(config.transform, open)
    const script = config.transformScript === undefined ? null : await openScript(config, open)
    const onError: ErrorPolicy = config.onTransformError
    return new RecordTransform({
      keyRules,
      valueRules,
      script,
      close,
      template: templateRule(config.keyTemplate),
      dbs: databases(config.dbMap),
      end: endRule(config),
      onError,
      ...(onFault === undefined ? {} : { onFault }),
    })
  } catch (error) {
    await close()
    throw error
  }
}

async function openScript(
  config: TransformConfig,
  open: (name: string, url: string, options: Record<string, string | number | boolean>) => Promise<Transform>,
): Promise<Transform> {
  const file = config.transformScript!
  if (!['.js', '.mjs', '.ts', '.py'].includes(extname(file).toLowerCase()))
    throw new MigrateError(
      'FM_CONFIG_INVALID',
      `the transform script ${file} is neither .js, .mjs, .ts nor .py`,
      'Name it after its language.',
    )
  readText(file, 'transform script')
  return open(extname(file).toLowerCase() === '.py' ? 'python' : 'script', file, config.scriptOptions)
}

async function rulesOf(
  path: string | undefined,
  open: (name: string, url: string, options: Record<string, string | number | boolean>) => Promise<Transform>,
): Promise<{ keyRules: KeyRule[]; valueRules: ValueRule[] }> {
  if (path === undefined) return { keyRules: [], valueRules: [] }
  const file = readTransformFile(path)
  const { keys, values } = file.value.transformations
  const keyRules = keys.map((spec, i) => {
    try {
      return keyRule(spec)
    } catch (error) {
      throw file.fail(['transformations', 'keys', i], (error as Error).message)
    }
  })
  const valueRules: ValueRule[] = []
  for (const [i, spec] of values.entries()) {
    const place = ['transformations', 'values', i]
    const fault = pathFault(spec) ?? (isConversion(spec) ? conversionFault(spec.from, spec.to) : null)
    if (fault !== null) throw file.fail(place, fault)
    try {
      valueRules.push(new ValueRule(spec, isConversion(spec) ? conversion(spec) : await itemFunction(spec, open)))
    } catch (error) {
      if (error instanceof MigrateError && error.code === 'FM_TRANSFORM_FAILED') throw error
      throw file.fail(place, (error as Error).message)
    }
  }
  return { keyRules, valueRules }
}

function isConversion(spec: ValueRuleSpec): spec is Extract<ValueRuleSpec, { type: 'convert' }> {
  return spec.type === 'convert'
}

async function itemFunction(
  spec: ValueRuleSpec,
  open: (name: string, url: string, options: Record<string, string | number | boolean>) => Promise<Transform>,
): Promise<ItemFunction> {
  const options = Object.fromEntries(Object.entries(spec).filter(([name]) => !OWN_FIELDS.has(name)))
  const transform = await open(spec.type, '', options as Record<string, string | number | boolean>)
  if (transform.items === undefined)
    throw new MigrateError('FM_TRANSFORM_INVALID', `${spec.type} is no rule for values`, 'Use it as a script.')
  return transform.items.bind(transform)
}

/** What becomes of the ends of keys; null = they stay as they are. */
function endRule({ ttl, ttlFactor }: Pick<TransformConfig, 'ttl' | 'ttlFactor'>): RecordTransformOptions['end'] {
  if (ttl === 'none') return () => 0
  if (ttl !== 'keep') return () => Date.now() + ttl
  if (ttlFactor === 1) return null
  return (expireAt) => {
    if (expireAt === 0) return 0
    const now = Date.now()
    return now + Math.round((expireAt - now) * ttlFactor)
  }
}

function templateRule(template: string): KeyRule | null {
  const at = template.indexOf(PLACE)
  if (at < 0 || template.indexOf(PLACE, at + 1) >= 0)
    throw new MigrateError(
      'FM_CONFIG_INVALID',
      `the key template "${template.slice(0, 60)}" must hold {key} once`,
      'Write for instance "prefix:{key}".',
    )
  return template === PLACE ? null : new AffixRule(template.slice(0, at), template.slice(at + PLACE.length))
}

/** @throws MigrateError FM_CONFIG_INVALID when two databases become one */
export function databases(dbMap: Readonly<Record<string, number>>): Map<number, number> {
  const dbs = new Map(Object.entries(dbMap).map(([from, to]) => [Number(from), to]))
  if (new Set(dbs.values()).size < dbs.size)
    throw new MigrateError(
      'FM_CONFIG_INVALID',
      'two databases are mapped to one',
      'Keys of the same name would overwrite each other: move them one after the other, with a key template.',
    )
  return dbs
}

/** Tells whether the files that a migration began with are the same; undefined = it uses none. */
export function transformFingerprint({ transform, transformScript }: TransformConfig): string | undefined {
  if (transform === undefined && transformScript === undefined) return undefined
  const hash = createHash('sha256')
  for (const path of [transform, transformScript])
    hash.update(path === undefined ? '-' : readFileSync(path)).update('\0')
  return hash.digest('hex')
}
