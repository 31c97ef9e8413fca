import { MigrateError, parseOption } from '@ferrite-migrate/contracts'

/** `name=value` pairs as options. @throws MigrateError FM_OPTION_VALUE */
export function adapterOptions(list: readonly string[] = []): Record<string, string> {
  return Object.fromEntries(
    list.map((pair) => {
      const at = pair.indexOf('=')
      if (at < 1)
        throw new MigrateError(
          'FM_OPTION_VALUE',
          `"${pair.slice(0, 60)}" is not name=value`,
          'Write for instance --source-option tls-ca=/path/ca.pem.',
        )
      return [pair.slice(0, at), pair.slice(at + 1)]
    }),
  )
}

/** A size such as 16gb, in bytes. @throws MigrateError FM_OPTION_VALUE */
export function parseBytes(name: string, value: string | undefined): number | undefined {
  return value === undefined
    ? undefined
    : (parseOption({ name, type: 'bytes', description: 'Give a size such as 16gb.' }, value) as number)
}

/** A duration such as 30m, in ms. @throws MigrateError FM_OPTION_VALUE */
export function parseMs(name: string, value: string | undefined): number | undefined {
  return value === undefined
    ? undefined
    : (parseOption({ name, type: 'duration', description: 'Give a duration such as 30m.' }, value) as number)
}

/** A number from 0 to 1. @throws MigrateError FM_OPTION_VALUE */
export function parseShare(name: string, value: string | undefined): number | undefined {
  if (value === undefined) return undefined
  if (!/^(0(\.\d+)?|1(\.0+)?|\.\d+)$/.test(value))
    throw new MigrateError(
      'FM_OPTION_VALUE',
      `option ${name} must be a share between 0 and 1, not "${value.slice(0, 30)}"`,
      'Write for instance 0.01 for one percent.',
    )
  return Number(value)
}

/** Pairs such as 0:1. @throws MigrateError FM_OPTION_VALUE */
export function parseDbMap(pairs: readonly string[] | undefined): Record<string, number> | undefined {
  if (pairs === undefined) return undefined
  const froms = pairs.map((pair) => pair.split(':')[0])
  const twice = froms.find((from, i) => froms.indexOf(from) !== i)
  if (twice !== undefined)
    throw new MigrateError(
      'FM_OPTION_VALUE',
      `--db-map says twice where database ${twice} goes`,
      'Give one target for each database of the source.',
    )
  return Object.fromEntries(
    pairs.map((pair) => {
      const match = /^(\d{1,5}):(\d{1,5})$/.exec(pair)
      if (match === null)
        throw new MigrateError(
          'FM_OPTION_VALUE',
          `"${pair.slice(0, 30)}" is no pair of databases`,
          'Write for instance --db-map 0:1.',
        )
      return [match[1], Number(match[2])]
    }),
  )
}

/** What becomes of the ends of keys; a number is ms from now. @throws MigrateError FM_OPTION_VALUE */
export function parseTtlRule(value: string | undefined): 'keep' | 'none' | number | undefined {
  if (value === undefined || value === 'keep' || value === 'none') return value
  const option = {
    name: 'ttl',
    type: 'duration',
    description: 'Give keep, none or a duration such as 1h.',
    min: 1,
  } as const
  return parseOption(option, value) as number
}

/** A number above 0. @throws MigrateError FM_OPTION_VALUE */
export function parseFactor(value: string | undefined): number | undefined {
  if (value === undefined) return undefined
  const number = Number(value)
  if (value.trim() === '' || !(number > 0) || !Number.isFinite(number))
    throw new MigrateError(
      'FM_OPTION_VALUE',
      `option ttl-factor must be a number above 0, not "${value.slice(0, 30)}"`,
      'Write for instance 0.5 for half of the time that is left.',
    )
  return number
}
