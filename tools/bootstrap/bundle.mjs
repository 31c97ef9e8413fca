// Makes `bundle` of the package in whose folder this is called: what its package.json names there (exports, imports), from the files of
// the same names in `dist`. A start reads a file a package then instead of two hundred, which is a tenth of a second. What is
// imported from other packages stays an import, so that all plugins share one of each; but for those that the arguments name, which are
// taken in with what they depend on, and their licences.
import { readFileSync, rmSync } from 'node:fs'
import { isAbsolute } from 'node:path'
import { rolldown } from 'rolldown'
import { writeLicences } from './licences.mjs'

const NAMES = { class: true, function: true }
const inlined = process.argv.slice(2)
const OTHERS = /[/\\]node_modules[/\\]/
const isOwn = (id) => id.startsWith('.') || isAbsolute(id)
const { exports, imports = {} } = JSON.parse(readFileSync('package.json', 'utf8'))
const named = [...Object.values(exports), ...Object.values(imports)].map((entry) => entry.default ?? entry)
const names = named.map((file) => /^\.\/bundle\/(.+)\.js$/.exec(file)?.[1]).filter((name) => name !== undefined)

const bundle = await rolldown({
  input: Object.fromEntries(names.map((name) => [name, `./dist/${name}.js`])),
  platform: 'node',
  external: (id, from) => !isOwn(id) && !inlined.includes(id) && !(from !== undefined && OTHERS.test(from)),
  // The compiler has left nothing out either: what a module does when it is loaded, it does here.
  treeshake: false,
  onLog: (_level, log) => {
    throw new Error(`bundle: ${log.message}`)
  },
})
rmSync('bundle', { recursive: true, force: true })
const { output } = await bundle.write({
  dir: 'bundle',
  format: 'esm',
  entryFileNames: '[name].js',
  chunkFileNames: '[name].js',
  // Others' code is five times as long as ours: it goes without comments and spaces. Names of classes and functions stay: errors are told by them.
  minify: inlined.length > 0 && {
    compress: { keepNames: NAMES },
    mangle: { keepNames: NAMES },
    codegen: { removeWhitespace: true },
  },
})
if (inlined.length > 0) writeLicences(output, 'bundle/LICENSES')
