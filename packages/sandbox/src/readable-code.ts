import { existsSync, realpathSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

/** The directory of the package that a file belongs to. */
function packageOf(file: string): string {
  let at = dirname(file)
  while (!existsSync(join(at, 'package.json')) && dirname(at) !== at) at = dirname(at)
  return at
}

/** The folders in which Node looks for packages from there. */
function installedFrom(directory: string): string[] {
  const found: string[] = []
  for (let at = directory; ; at = dirname(at)) {
    const folder = join(at, 'node_modules')
    if (existsSync(folder)) found.push(folder)
    if (dirname(at) === at) return found
  }
}

/**
 * The directories that a process has to read to run a module: its own package, those it may import, and this one. All of it is
 * code that is installed; nothing of the user's own.
 */
export function readableCode(module: URL): string[] {
  const own = [module, new URL(import.meta.url)].map((url) => packageOf(realpathSync(fileURLToPath(url))))
  const directories = new Set(own.flatMap((directory) => [directory, ...installedFrom(directory)]))
  // Packages of a workspace are links to where they are worked on.
  for (const directory of own) {
    const require = createRequire(join(directory, 'package.json'))
    const { dependencies = {} } = require('./package.json') as { dependencies?: Readonly<Record<string, string>> }
    for (const name of Object.keys(dependencies))
      for (const folder of installedFrom(directory)) {
        const place = join(folder, name)
        if (existsSync(place)) directories.add(realpathSync(place))
      }
  }
  return [...directories]
}
