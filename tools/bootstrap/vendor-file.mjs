// Copies a module that is one file into `vendor` of the package in whose folder this is called, with its licence: for a package that
// cannot be a dependency as it is. The argument is what is imported, such as msgpackr/index-no-eval.
import { copyFileSync, existsSync, mkdirSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, extname, join } from 'node:path'

const [module] = process.argv.slice(2)
const file = createRequire(join(process.cwd(), 'package.json')).resolve(module)
const [name] = module.split('/')
let folder = dirname(file)
while (!existsSync(join(folder, 'package.json'))) folder = dirname(folder)
mkdirSync('vendor', { recursive: true })
copyFileSync(file, join('vendor', name + extname(file)))
copyFileSync(join(folder, 'LICENSE'), join('vendor', `${name}.LICENSE`))
