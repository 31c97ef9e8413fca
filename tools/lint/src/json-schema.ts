/** What of JSON Schema the types of the protocol use. */
export interface JsonSchema {
  readonly type?: string | readonly string[]
  readonly enum?: readonly unknown[]
  readonly const?: unknown
  readonly $ref?: string
  readonly description?: string
  readonly items?: JsonSchema
  readonly properties?: Readonly<Record<string, JsonSchema>>
  readonly required?: readonly string[]
  readonly additionalProperties?: JsonSchema | boolean
  readonly anyOf?: readonly JsonSchema[]
}

/** Definitions that are tables of methods and notifications: no name in them is one that a type can have. */
export const TABLES: ReadonlySet<string> = new Set(['Said', 'Answers', 'Notices'])

/** The definition that a reference leads to. */
export function referred($ref: string): string {
  return decodeURIComponent($ref.split('/').at(-1) ?? '')
}

export function oneLine(text: string): string {
  return text.replace(/\s+/g, ' ').trim()
}
