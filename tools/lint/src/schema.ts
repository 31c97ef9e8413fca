import { readFileSync, writeFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { fileSchema } from '@ferrite-migrate/core'
import { toJsonSchema } from '@valibot/to-json-schema'

/** The JSON Schema of migration.yaml, for editors: `node tools/lint/dist/schema.js` checks the published file, `--write` makes it. */
const FILE = resolve(import.meta.dirname, '..', '..', '..', 'packages', 'core', 'schema', 'migration.schema.json')
const text = `${JSON.stringify({ ...toJsonSchema(fileSchema, { errorMode: 'ignore' }), title: 'Configuration of ferrite-migrate' }, null, 2)}\n`
if (process.argv.includes('--write')) writeFileSync(FILE, text)
else if (JSON.stringify(JSON.parse(readFileSync(FILE, 'utf8'))) !== JSON.stringify(JSON.parse(text))) {
  console.error('packages/core/schema/migration.schema.json is not what the code accepts: npm run schema')
  process.exit(1)
}
