import { readFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { expect, it } from 'vitest'
import { METHODS } from '../dist/index.js'

const ROOT = resolve(import.meta.dirname, '..', '..', '..')

it('docs/protocol.md has every method and nothing else', () => {
  const page = readFileSync(resolve(ROOT, 'docs', 'protocol.md'), 'utf8')
  const rows = [...page.matchAll(/^\| ((?:migration\.)?[a-z]+) +\|/gm)].map(([, name]) => name)
  expect(rows.filter((name) => name === 'initialize' || name.startsWith('migration.'))).toEqual(METHODS)
})

it('the schema has what each method takes and answers', () => {
  const text = readFileSync(resolve(ROOT, 'packages', 'api', 'schema', 'protocol.schema.json'), 'utf8')
  const { definitions } = JSON.parse(text) as { definitions: Record<string, { properties: object }> }
  expect(Object.keys(definitions.Params.properties)).toEqual(METHODS)
  expect(Object.keys(definitions.Answers.properties)).toEqual(METHODS)
})
