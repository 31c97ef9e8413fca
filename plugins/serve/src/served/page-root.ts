import { existsSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'

/** Folder of the dashboard's files; null where its package is not installed. */
export function pageRoot(): string | null {
  try {
    const root = dirname(createRequire(import.meta.url).resolve('@ferrite-migrate/dashboard/package.json'))
    const folder = join(root, 'dist')
    return existsSync(join(folder, 'index.html')) ? folder : null
  } catch {
    return null
  }
}
