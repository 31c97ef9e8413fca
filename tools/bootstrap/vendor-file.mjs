// Copies a module that is one file into `vendor` of the package in whose folder this is called, with its licence: for a package that
// cannot be a dependency as it is. The arguments are the package and the file in it.
import { copyFileSync, existsSync, mkdirSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'

const [name, file] = process.argv.slice(2)
let folder = dirname(createRequire(join(process.cwd(), 'package.json')).resolve(name))
while (!existsSync(join(folder, 'package.json'))) folder = dirname(folder)
mkdirSync('vendor', { recursive: true })
copyFileSync(join(folder, file), join('vendor', `${name}.cjs`))
copyFileSync(join(folder, 'LICENSE'), join('vendor', `${name}.LICENSE`))
