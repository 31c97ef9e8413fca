/** What a plugin may bring. */
export const KINDS = ['source', 'target', 'transform'] as const
export type Kind = (typeof KINDS)[number]

export const LANGUAGES = ['typescript', 'javascript'] as const
export type Language = (typeof LANGUAGES)[number]

/** What has to be known to make a plugin. */
export interface Answers {
  readonly kind: Kind
  /** Of the package, as npm takes it. */
  readonly name: string
  /** Of the adapter: the scheme of its addresses, or the type of a rule. */
  readonly scheme: string
  readonly language: Language
}

const PACKAGE = /^(@[a-z0-9~-][a-z0-9._~-]*\/)?[a-z0-9~-][a-z0-9._~-]*$/
const SCHEME = /^[a-z][a-z0-9+-]{1,30}$/
/** Schemes that plugins of the project have. */
const TAKEN =
  /^((redis|rediss|valkey|valkeys|ferrite|ferrites)([+-](cluster|sentinel|unix))?|unix|memcached|rdb|aof|json|ndjson|csv|tsv)$/

/** Why a name is none; true = it is one. */
export function nameFault(name: string): string | true {
  return PACKAGE.test(name) || 'A name of an npm package: lower case letters, digits, - and _.'
}

/** Why a scheme is none; true = it is one. */
export function schemeFault(scheme: string): string | true {
  if (!SCHEME.test(scheme)) return 'Lower case letters and digits, such as mydb.'
  return TAKEN.test(scheme) ? `${scheme} is taken by a plugin of ferrite-migrate.` : true
}
