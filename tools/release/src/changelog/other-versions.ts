import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

/** Where packages that are none of npm's say their version; each goes with that of the program. */
const PLACES: readonly (readonly [file: string, pattern: RegExp])[] = [
  ['packages/sdk-python/pyproject.toml', /^version = "[^"]+"$/m],
  ['packages/sdk-python/src/ferrite_migrate/__init__.py', /^__version__ = "[^"]+"$/m],
  ['packages/sdk-rust/Cargo.toml', /^version = "[^"]+"$/m],
  ['packages/sdk-rust/Cargo.lock', /^name = "ferrite_migrate"\nversion = "[^"]+"$/m],
  ['packages/launcher-rust/Cargo.toml', /^version = "[^"]+"$/m],
  ['packages/launcher-rust/Cargo.lock', /^name = "ferrite-tools"\nversion = "[^"]+"$/m],
]

/** Writes the version of the program into them. @throws Error where one does not say its version as it used to */
export function setOtherVersions(root: string, version: string): void {
  for (const [file, pattern] of PLACES) {
    const path = join(root, file)
    const text = readFileSync(path, 'utf8')
    if (!pattern.test(text)) throw new Error(`${file} does not say its version`)
    writeFileSync(
      path,
      text.replace(pattern, (line) => line.replace(/"[^"]+"$/, `"${version}"`)),
    )
  }
}
