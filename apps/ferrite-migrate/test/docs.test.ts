import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, it } from 'vitest'

const ROOT = new URL('../../../', import.meta.url).pathname

function* sources(directory: string): Generator<string> {
  for (const entry of readdirSync(directory, { withFileTypes: true })) {
    const path = join(directory, entry.name)
    if (entry.isDirectory()) yield* sources(path)
    else if (entry.name.endsWith('.ts')) yield readFileSync(path, 'utf8')
  }
}

it('docs/errors.md has every code that is given', () => {
  const known = readFileSync(join(ROOT, 'docs/errors.md'), 'utf8')
  const missing = new Set<string>()
  for (const group of ['packages', 'plugins', 'apps'])
    for (const name of readdirSync(join(ROOT, group)))
      for (const text of sources(join(ROOT, group, name, 'src')))
        for (const [, code] of text.matchAll(/'(FM_[A-Z_]+[A-Z])'/g)) if (!known.includes(code)) missing.add(code)
  expect([...missing]).toEqual([])
})
