import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { PackageRegistry } from '@ferrite-migrate/servers'

/**
 * `npm run wheel`: the Python package as a wheel that holds the program too, so that `pip install 'ferrite-migrate[node]'` needs no
 * npm. It wants a Python with the package `build`; PYTHON names another than python3.
 */
const PACKAGE = resolve(import.meta.dirname, '..', '..', '..', 'packages', 'sdk-python')
const PROGRAM = join(PACKAGE, 'src', 'ferrite_migrate', '_program')

/** Not synchronous: the registry that npm asks is in this process. */
async function run(program: string, args: readonly string[], cwd: string, env: NodeJS.ProcessEnv = {}): Promise<void> {
  const child = spawn(program, args, { cwd, stdio: 'inherit', env: { ...process.env, ...env } })
  const [code] = await once(child, 'close')
  if (code !== 0) throw new Error(`${program} ${args[0]} failed: ${code}`)
}

const registry = await PackageRegistry.start()
try {
  rmSync(PROGRAM, { recursive: true, force: true })
  mkdirSync(PROGRAM, { recursive: true })
  writeFileSync(join(PROGRAM, 'package.json'), '{ "private": true }\n')
  const flags = ['--omit=dev', '--ignore-scripts', '--no-audit', '--no-fund', '--no-package-lock', '--loglevel=error']
  await run('npm', ['install', ...flags, 'ferrite-migrate'], PROGRAM, { npm_config_registry: registry.url })
} finally {
  await registry.stop()
}
// A wheel has no links: what they lead to is called by its path.
rmSync(join(PROGRAM, 'node_modules', '.bin'), { recursive: true, force: true })
await run(process.env.PYTHON ?? 'python3', ['-m', 'build', '--wheel'], PACKAGE)
