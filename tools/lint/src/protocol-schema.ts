import { join } from 'node:path'
import { METHODS, PARAMS, PROTOCOL_VERSION } from '@ferrite-migrate/api'
import { fileSchema } from '@ferrite-migrate/core'
import { toJsonSchema } from '@valibot/to-json-schema'
import { createGenerator } from 'ts-json-schema-generator'

/**
 * The protocol as one JSON Schema. What is asked (`Params`, by method) comes from what the service checks with, what is said (`Said`) from
 * the types that it answers with.
 * @param folder of packages/api, built
 * @returns the whole, and of it the definitions of what is said
 */
export function protocolSchema(folder: string): { said: Readonly<Record<string, unknown>>; whole: object } {
  const said = createGenerator({
    path: join(folder, 'dist', 'protocol', 'schema-root.d.ts'),
    tsconfig: join(folder, 'tsconfig.json'),
    type: 'Said',
    // Dates, classes and the like have no place in it: whatever is not plain JSON fails here.
    skipTypeCheck: true,
    // A later version may tell more.
    additionalProperties: true,
  }).createSchema('Said')
  const params = METHODS.map((method) => [method, paramsOf(method)] as const)
  const definitions = said.definitions ?? {}
  const whole = {
    $schema: 'http://json-schema.org/draft-07/schema#',
    title: `The protocol of ferrite-migrate, version ${PROTOCOL_VERSION}`,
    $ref: '#/definitions/Said',
    definitions: {
      ...definitions,
      Config: plain(toJsonSchema(fileSchema, { errorMode: 'ignore' })),
      Params: { type: 'object', properties: Object.fromEntries(params) },
    },
  }
  return { said: definitions, whole }
}

/** Those that take a whole configuration, which the service checks by itself. */
const WHOLE: ReadonlySet<string> = new Set(['migration.plan', 'migration.start'])

function paramsOf(method: (typeof METHODS)[number]): object {
  const schema = plain(toJsonSchema(PARAMS[method], { errorMode: 'ignore' }))
  const { config, ...others } = schema.properties ?? {}
  if (!WHOLE.has(method) || config === undefined) return schema
  return { ...schema, properties: { config: { $ref: '#/definitions/Config' }, ...others } }
}

function plain({
  $schema: _,
  ...schema
}: ReturnType<typeof toJsonSchema>): Omit<ReturnType<typeof toJsonSchema>, '$schema'> {
  return schema
}
