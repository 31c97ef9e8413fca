// Makes `bundle` of the package in whose folder this is called: what its package.json names there (exports, imports), from the files of
// the same names in `dist`. A start reads a file a package then instead of two hundred, which is a tenth of a second. What is
// imported from other packages stays an import, so that all plugins share one of each.
import { readFileSync, rmSync } from 'node:fs'
import { rolldown } from 'rolldown'

const OWN = /^[./]/
const { exports, imports = {} } = JSON.parse(readFileSync('package.json', 'utf8'))
const named = [...Object.values(exports), ...Object.values(imports)].map((entry) => entry.default ?? entry)
const names = named.map((file) => /^\.\/bundle\/(.+)\.js$/.exec(file)?.[1]).filter((name) => name !== undefined)

const bundle = await rolldown({
  input: Object.fromEntries(names.map((name) => [name, `./dist/${name}.js`])),
  platform: 'node',
  external: (id) => !OWN.test(id),
  // The compiler has left nothing out either: what a module does when it is loaded, it does here.
  treeshake: false,
  onLog: (_level, log) => {
    throw new Error(`bundle: ${log.message}`)
  },
})
rmSync('bundle', { recursive: true, force: true })
await bundle.write({ dir: 'bundle', format: 'esm', entryFileNames: '[name].js', chunkFileNames: '[name].js' })
