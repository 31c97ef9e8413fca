import { homedir } from 'node:os'
import { join } from 'node:path'

/**
 * The directory of data, before anything is loaded: where oclif looks for it.
 * @param dirname the program's own name in its package.json
 */
export function dataDirectory(environment: NodeJS.ProcessEnv, dirname: string): string {
  const { FERRITE_MIGRATE_DATA_DIR, XDG_DATA_HOME, LOCALAPPDATA } = environment
  if (FERRITE_MIGRATE_DATA_DIR !== undefined && FERRITE_MIGRATE_DATA_DIR !== '') return FERRITE_MIGRATE_DATA_DIR
  const base =
    // Empty counts as not set: plugins are never looked for in the current folder.
    XDG_DATA_HOME ||
    (process.platform === 'win32' && LOCALAPPDATA) ||
    join(environment.HOME || homedir(), '.local', 'share')
  return join(base, dirname)
}
