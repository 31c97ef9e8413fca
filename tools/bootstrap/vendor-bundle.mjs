// Bundles a package with what it depends on into one file in `vendor` of the package in whose folder this is called, with the licences of
// all that is in it: for a package whose dependencies bring a script at the installation. The arguments are the package, and packages
// that stay dependencies.
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { rolldown } from 'rolldown'
import { writeLicences } from './licences.mjs'

const [name, ...external] = process.argv.slice(2)
const entry = join('vendor', `${name}.entry.mjs`)
mkdirSync('vendor', { recursive: true })
writeFileSync(entry, `export { Job, Queue, Worker } from '${name}'\n`)
const bundle = await rolldown({
  input: entry,
  platform: 'node',
  // Other databases and clients that the package can use as well are loaded by it when they are asked for, which they are not.
  external: [...external, 'pg', 'redis', 'bullmq-otel', 'msgpackr-extract', /^@valkey/],
  logLevel: 'silent',
  treeshake: true,
})
const { output } = await bundle.write({ file: join('vendor', `${name}.mjs`), format: 'esm', minify: true })
writeLicences(output, join('vendor', `${name}.LICENSES`))
