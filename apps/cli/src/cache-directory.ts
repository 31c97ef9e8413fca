import { existsSync, lstatSync, mkdirSync } from 'node:fs'
import { homedir } from 'node:os'
import { join } from 'node:path'

/**
 * A directory for compiled code in which nobody else can write; null when there is none. Code that others could put there
 * would run with our rights, so it is never the shared temporary directory.
 */
export function cacheDirectory(environment: NodeJS.ProcessEnv): string | null {
  const home = environment.XDG_CACHE_HOME ?? join(homedir(), '.cache')
  const directory = join(home, 'ferrite-migrate', 'compiled')
  try {
    // Each by itself: `recursive` tries for ever where a file system makes no directories.
    for (const path of [home, join(home, 'ferrite-migrate'), directory])
      if (!existsSync(path)) mkdirSync(path, { mode: 0o700 })
    for (const path of [join(home, 'ferrite-migrate'), directory]) {
      const found = lstatSync(path)
      const ours = process.getuid === undefined || found.uid === process.getuid()
      if (!found.isDirectory() || !ours || (found.mode & 0o022) !== 0) return null
    }
    return directory
  } catch {
    // A home that cannot be written to: every start compiles anew.
    return null
  }
}
