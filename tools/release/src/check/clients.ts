import { createHash } from 'node:crypto'
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { must } from '../process/run.js'

/** Where the registry and the package managers are installed. They are no part of the workspace: most people never need them. */
const FOLDER = resolve(import.meta.dirname, '..', '..', 'clients')

/** Installs them, when that was not done before. Gives the folder of their packages. @throws Error what npm said */
export async function installClients(): Promise<string> {
  const packages = join(FOLDER, 'node_modules')
  const mark = join(packages, '.installed')
  const hash = createHash('sha256')
    .update(readFileSync(join(FOLDER, 'package.json')))
    .digest('hex')
  if (existsSync(mark) && readFileSync(mark, 'utf8') === hash) return packages
  const flags = ['--ignore-scripts', '--no-package-lock', '--no-audit', '--no-fund', '--loglevel=error']
  await must('npm', ['install', ...flags], { cwd: FOLDER })
  writeFileSync(mark, hash)
  return packages
}
