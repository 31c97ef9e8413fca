import { describe, expect, it } from 'vitest'
import { linkedPlaces, namedPlaces } from '../dist/named-places.js'

describe('places that a document names', () => {
  it('are code with a slash, and files of TypeScript', () => {
    expect(namedPlaces('In `packages/core` and `engine/engine.ts`; `.ci/run`, `shard-run.ts`, `docs/`.')).toEqual([
      'packages/core',
      'engine/engine.ts',
      '.ci/run',
      'shard-run.ts',
      'docs/',
    ])
  })

  it('are no commands, keys, patterns, packages or addresses', () => {
    const text = '`npm test`, `ShardRun`, `__a__:<id>:<shard>`, `docs/*.md`, `~/.cache/x`, `@house/core`, `redis://a/0`'
    expect(namedPlaces(text)).toEqual([])
  })

  it('are not looked for in blocks of code', () => {
    expect(namedPlaces('```bash\nsee `gone/away.ts`\n```\nand `here/now.ts`')).toEqual(['here/now.ts'])
  })

  it('are told once', () => {
    expect(namedPlaces('`a/b` and `a/b`')).toEqual(['a/b'])
  })
})

describe('places that a document links to', () => {
  it('are told without their headings', () => {
    expect(linkedPlaces('[a](docs/a.md#part), [b](b.md)')).toEqual(['docs/a.md', 'b.md'])
  })

  it('are none of the web, and no headings of its own', () => {
    expect(linkedPlaces('[a](https://a.example/b.md), [c](#part)')).toEqual([])
  })
})
