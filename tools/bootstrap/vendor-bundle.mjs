// Bundles a package with what it depends on into one file in `vendor` of the package in whose folder this is called, with the licences of
// all that is in it: for a package whose dependencies bring a script at the installation. The arguments are the package, and packages
// that stay dependencies.
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { rolldown } from 'rolldown'

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
const folders = new Set()
for (const chunk of output)
  for (const id of Object.keys(chunk.modules ?? {})) {
    const found = /^(.*\/node_modules\/(?:@[^/]+\/)?[^/]+)\//.exec(id)
    if (found !== null) folders.add(found[1])
  }
const texts = [...folders].sort().map((folder) => {
  const { name: of, version, license } = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8'))
  const file = readdirSync(folder).find((one) => /^licen[cs]e/i.test(one))
  return `${of} ${version} (${license})\n\n${file === undefined ? '' : readFileSync(join(folder, file), 'utf8')}`
})
writeFileSync(join('vendor', `${name}.LICENSES`), texts.join('\n\n'))
