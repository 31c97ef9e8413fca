import { MigrateError } from './error.js'

/** Raised by one whenever an adapter written for the former number would break: see docs/contract-2.md. */
export const CONTRACT_MAJOR = 2
/** Of which transforms still are what they were. */
const OLDEST_FOR_TRANSFORMS = 1
/** The npm keyword of every plugin package. */
export const PLUGIN_KEYWORD = 'ferrite-migrate-plugin'

export interface OptionSpec {
  readonly name: string
  readonly type: 'string' | 'integer' | 'boolean' | 'bytes' | 'duration'
  readonly description: string
  readonly default?: string | number | boolean
  readonly choices?: readonly string[]
  /** The least and the most that make sense, in the option's unit (count, bytes, ms); see MOST for what bounds the others. */
  readonly min?: number
  readonly max?: number
  /** A secret is asked from environment or file and never stored or printed. */
  readonly secret?: boolean
  /** Of a source: the flag of the command line, without dashes, that gives the option as well. */
  readonly flag?: string
}

export interface AdapterSpec {
  /** A runner runs the shards of a migration somewhere else; what it gives is described by `Runner` of @ferrite-migrate/core. */
  readonly kind: 'source' | 'target' | 'transform' | 'runner'
  readonly name: string
  /** URL schemes without the colon. */
  readonly schemes: readonly string[]
  /** Path inside the package, starting with `./`. */
  readonly module: string
  readonly options: readonly OptionSpec[]
}

/** The `ferriteMigrate` block of a plugin's package.json. */
export interface PluginManifest {
  readonly contract: number
  readonly adapters: readonly AdapterSpec[]
}

/**
 * Checks the `ferriteMigrate` block of a package.json.
 * @param file the file's path, for the error text
 * @param plugin what the package is called, for the error text
 * @throws MigrateError FM_PLUGIN_MANIFEST naming file and field, FM_PLUGIN_CONTRACT naming a plugin of another contract
 */
export function parseManifest(block: unknown, file: string, plugin: string): PluginManifest {
  const fail = (field: string, want: string): never => {
    throw new MigrateError(
      'FM_PLUGIN_MANIFEST',
      `${file}: ferriteMigrate.${field} must be ${want}`,
      'Correct the block as docs/adapter-spec.md describes it.',
    )
  }
  const object = (value: unknown, field: string): Record<string, unknown> =>
    typeof value === 'object' && value !== null && !Array.isArray(value)
      ? (value as Record<string, unknown>)
      : fail(field, 'an object')
  const text = (value: unknown, field: string): string =>
    typeof value === 'string' && value !== '' ? value : fail(field, 'a non-empty string')
  const number = (value: unknown, field: string): number =>
    typeof value === 'number' && Number.isFinite(value) ? value : fail(field, 'a number')
  const flagName = (value: unknown, field: string): string => {
    const name = text(value, field)
    return /^[a-z][a-z-]*$/.test(name) ? name : fail(field, 'the name of a flag without its dashes')
  }
  const list = (value: unknown, field: string): unknown[] => (Array.isArray(value) ? value : fail(field, 'an array'))

  const root = object(block, '')
  const contract = number(root.contract, 'contract')
  if (!Number.isInteger(contract)) fail('contract', 'a whole number')
  if (contract > CONTRACT_MAJOR || contract < oldestFor(root.adapters))
    throw new MigrateError(
      'FM_PLUGIN_CONTRACT',
      `the plugin ${plugin} is written for contract ${contract}, and this version takes contract ${CONTRACT_MAJOR} (${file})`,
      contract > CONTRACT_MAJOR
        ? 'Install a newer ferrite-migrate, or an older version of the plugin.'
        : 'Install a newer version of the plugin. Its author finds in docs/contract-2.md what to change.',
    )
  const adapters = list(root.adapters, 'adapters').map((entry, at): AdapterSpec => {
    const field = `adapters[${at}]`
    const adapter = object(entry, field)
    const kind = adapter.kind
    if (kind !== 'source' && kind !== 'target' && kind !== 'transform' && kind !== 'runner')
      fail(`${field}.kind`, 'source, target, transform or runner')
    const module = text(adapter.module, `${field}.module`)
    if (!module.startsWith('./') || module.includes('..')) fail(`${field}.module`, 'a path inside the package, ./…')
    const schemes = list(adapter.schemes ?? [], `${field}.schemes`).map((scheme, i) => {
      const word = text(scheme, `${field}.schemes[${i}]`)
      return /^[a-z][a-z0-9+.-]*$/.test(word) ? word : fail(`${field}.schemes[${i}]`, 'a lower-case URL scheme')
    })
    if (kind !== 'transform' && schemes.length === 0) fail(`${field}.schemes`, 'a list of at least one scheme')
    const options = list(adapter.options ?? [], `${field}.options`).map((raw, i): OptionSpec => {
      const where = `${field}.options[${i}]`
      const option = object(raw, where)
      const type = option.type
      if (!['string', 'integer', 'boolean', 'bytes', 'duration'].includes(type as string))
        fail(`${where}.type`, 'string, integer, boolean, bytes or duration')
      return {
        name: text(option.name, `${where}.name`),
        type: type as OptionSpec['type'],
        description: text(option.description, `${where}.description`),
        ...(option.default === undefined ? {} : { default: option.default as string | number | boolean }),
        ...(option.choices === undefined
          ? {}
          : { choices: list(option.choices, `${where}.choices`).map((c, n) => text(c, `${where}.choices[${n}]`)) }),
        ...(option.min === undefined ? {} : { min: number(option.min, `${where}.min`) }),
        ...(option.max === undefined ? {} : { max: number(option.max, `${where}.max`) }),
        ...(option.secret === true ? { secret: true } : {}),
        ...(option.flag === undefined ? {} : { flag: flagName(option.flag, `${where}.flag`) }),
      }
    })
    return { kind: kind as AdapterSpec['kind'], name: text(adapter.name, `${field}.name`), schemes, module, options }
  })
  return { contract, adapters }
}

/** The oldest contract of which adapters of these kinds work untouched. */
function oldestFor(adapters: unknown): number {
  const isTransform = (one: unknown): boolean =>
    typeof one === 'object' && one !== null && 'kind' in one && one.kind === 'transform'
  const alone = Array.isArray(adapters) && adapters.length > 0 && adapters.every(isTransform)
  return alone ? OLDEST_FOR_TRANSFORMS : CONTRACT_MAJOR
}

/** What no option may pass when its spec says nothing: timers count to 2^31 ms, and no disk holds a pebibyte. */
const MOST = { integer: 2 ** 31 - 1, bytes: 2 ** 50, duration: 2 ** 31 - 1 } as const

/**
 * Converts an option's text as its spec says: integers, booleans (true/false/yes/no/1/0), bytes (`64mb`, 1024-based),
 * durations (`500ms`, `30s`, `5m`, `1h`; a bare number is seconds) to ms.
 * @throws MigrateError FM_OPTION_VALUE
 */
export function parseOption(spec: OptionSpec, raw: string | number | boolean): string | number | boolean {
  const text = String(raw).trim()
  const bad = (want: string): never => {
    throw new MigrateError(
      'FM_OPTION_VALUE',
      `option ${spec.name} must be ${want}, not "${spec.secret ? '***' : text.slice(0, 60)}"`,
      spec.description,
    )
  }
  if (spec.choices && !spec.choices.includes(text)) return bad(`one of ${spec.choices.join(', ')}`)
  const within = (value: number, type: keyof typeof MOST): number => {
    const { min = type === 'integer' ? -MOST.integer : 0, max = MOST[type] } = spec
    if (value < min) return bad(`at least ${min}${type === 'duration' ? ' ms' : ''}`)
    return value > max ? bad(`at most ${max}${type === 'duration' ? ' ms' : ''}`) : value
  }
  switch (spec.type) {
    case 'string':
      return text
    case 'integer':
      return /^-?\d{1,15}$/.test(text) ? within(Number(text), 'integer') : bad('a whole number')
    case 'boolean':
      if (/^(true|yes|on|1)$/i.test(text)) return true
      return /^(false|no|off|0)$/i.test(text) ? false : bad('true or false')
    case 'bytes': {
      const match = /^(\d{1,12})(?:\s*(b|k|kb|kib|m|mb|mib|g|gb|gib|t|tb|tib))?$/i.exec(text)
      if (!match) return bad('a size such as 64mb')
      const unit = (match[2] ?? 'b')[0].toLowerCase()
      return within(Number(match[1]) * 1024 ** 'bkmgt'.indexOf(unit), 'bytes')
    }
    case 'duration': {
      const match = /^(\d{1,10}(?:\.\d+)?)\s*(ms|s|m|h|d)?$/i.exec(text)
      if (!match) return bad('a duration such as 30s')
      const scale = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 }
      return within(
        Math.round(Number(match[1]) * scale[(match[2] ?? 's').toLowerCase() as keyof typeof scale]),
        'duration',
      )
    }
  }
}
