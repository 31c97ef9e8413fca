import { rmSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { installProgram } from './process/install-program.js'
import { must } from './process/run.js'

/**
 * `npm run wheel`: the Python package as a wheel that holds the program too, so that `pip install 'ferrite-migrate[node]'` needs no
 * npm. It wants a Python with the package `build`; PYTHON names another than python3.
 */
const PACKAGE = resolve(import.meta.dirname, '..', '..', '..', 'packages', 'sdk-python')
const PROGRAM = join(PACKAGE, 'src', 'ferrite_migrate', '_program')

await installProgram(PROGRAM)
// A wheel has no links: what they lead to is called by its path.
rmSync(join(PROGRAM, 'node_modules', '.bin'), { recursive: true, force: true })
const { output } = await must(process.env.PYTHON ?? 'python3', ['-m', 'build', '--wheel'], {
  cwd: PACKAGE,
  timeoutMs: 600_000,
})
process.stdout.write(output)
