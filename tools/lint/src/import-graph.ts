import { globSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import type { ImportGraph } from './circles.js'

/** The modules that a text of TypeScript imports, as it names them. */
export function importedModules(text: string): string[] {
  return [...text.matchAll(/(?:from|import\()\s*'([^']+)'/g)].map((match) => match[1])
}

/** The files of code below a folder, each with those that it imports by their place; all paths are relative to `root`. */
export function importGraph(root: string, folder: string): ImportGraph {
  const files = new Map<string, ReadonlySet<string>>()
  for (const file of globSync(`${folder}/**/*.ts`, { cwd: root })) {
    const near = importedModules(readFileSync(join(root, file), 'utf8')).filter((name) => name.startsWith('.'))
    files.set(file, new Set(near.map((name) => join(dirname(file), name).replace(/\.js$/, '.ts'))))
  }
  return files
}
