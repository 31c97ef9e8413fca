import { readFileSync, writeFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { fileSchema, shardEventSchema, shardTaskSchema } from '@ferrite-migrate/core'
import { toJsonSchema } from '@valibot/to-json-schema'

/** The JSON Schemas that packages/core publishes: `node tools/lint/dist/schema.js` checks them, `--write` makes them. */
const SCHEMAS = [
  // For editors.
  ['migration', 'Configuration of ferrite-migrate', fileSchema],
  ['shard-task', 'What a process needs to know to run shards of a migration', shardTaskSchema],
  ['shard-event', 'What a shard of a migration tells while it runs', shardEventSchema],
] as const
const FOLDER = resolve(import.meta.dirname, '..', '..', '..', 'packages', 'core', 'schema')

for (const [name, title, schema] of SCHEMAS) {
  const file = resolve(FOLDER, `${name}.schema.json`)
  const text = `${JSON.stringify({ ...toJsonSchema(schema, { errorMode: 'ignore' }), title }, null, 2)}\n`
  if (process.argv.includes('--write')) writeFileSync(file, text)
  else if (JSON.stringify(JSON.parse(readFileSync(file, 'utf8'))) !== JSON.stringify(JSON.parse(text))) {
    console.error(`packages/core/schema/${name}.schema.json is not what the code accepts: npm run schema`)
    process.exitCode = 1
  }
}
