import { readFileSync, writeFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { fileSchema, shardEventSchema, shardTaskSchema } from '@ferrite-migrate/core'
import { toJsonSchema } from '@valibot/to-json-schema'
import { protocolSchema } from './protocol-schema.js'
import { pythonTypes } from './python-types.js'
import { rustTypes } from './rust-types.js'

/** The JSON Schemas that packages/core and packages/api publish: `node tools/lint/dist/schema.js` checks them, `--write` makes them. */
const SCHEMAS = [
  // For editors.
  ['migration', 'Configuration of ferrite-migrate', fileSchema],
  ['shard-task', 'What a process needs to know to run shards of a migration', shardTaskSchema],
  ['shard-event', 'What a shard of a migration tells while it runs', shardEventSchema],
] as const
const PACKAGES = resolve(import.meta.dirname, '..', '..', '..', 'packages')

/** @param same what counts of a text, however it is laid out */
function keepText(place: string, text: string, same: (text: string) => string = (whole) => whole): void {
  const file = resolve(PACKAGES, place)
  if (process.argv.includes('--write')) writeFileSync(file, text)
  else if (same(readFileSync(file, 'utf8')) !== same(text)) {
    console.error(`packages/${place} is not what the code accepts: npm run schema`)
    process.exitCode = 1
  }
}

function keep(place: string, schema: object): void {
  keepText(place, `${JSON.stringify(schema, null, 2)}\n`, (text) => JSON.stringify(JSON.parse(text)))
}

for (const [name, title, schema] of SCHEMAS)
  keep(`core/schema/${name}.schema.json`, { ...toJsonSchema(schema, { errorMode: 'ignore' }), title })
const { said, whole } = protocolSchema(resolve(PACKAGES, 'api'))
keep('api/schema/protocol.schema.json', whole)
keepText('sdk-python/src/ferrite_migrate/types.py', pythonTypes(said))
keepText('sdk-rust/src/types.rs', rustTypes(said))
