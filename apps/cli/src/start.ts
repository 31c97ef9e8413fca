import module from 'node:module'
import { cacheDirectory } from './cache-directory.js'

/**
 * Runs the command line of this process.
 * @param from where the program is: the `import.meta.url` of its bin
 */
export async function start(from: string): Promise<void> {
  const directory = cacheDirectory(process.env)
  if (directory !== null) module.enableCompileCache(directory)
  // Only now, so that what it imports comes from the cache.
  const { run } = await import('./main.js')
  await run(process.argv.slice(2), from)
}
