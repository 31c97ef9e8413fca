import { appendFileSync, mkdtempSync, readFileSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { stringRecord } from '@ferrite-migrate/contracts'
import { describe, expect, it } from 'vitest'
import { testContext, testSource } from '../dist/index.js'
import { createSource } from './line-source.js'

testSource({ describe, it }, 'of the docs', async () => {
  const file = join(mkdtempSync(join(tmpdir(), 'fm-kit-')), 'lines')
  writeFileSync(file, 'a\t1\nb\t\né\t2\n')
  const open = (path: string) => createSource(testContext(pathToFileURL(path).href.replace('file:', 'lines:')))
  const append = async (...pairs: readonly (readonly [key: string, value: string])[]): Promise<void> =>
    appendFileSync(file, pairs.map(([key, value]) => `${key}\t${value}\n`).join(''))
  return {
    source: await open(file),
    expected: [stringRecord('a', '1'), stringRecord('b', ''), stringRecord('é', '2')],
    types: ['string'],
    change: (key, value) => append([key, value]),
    transaction: (entries) => append(...entries),
    reopen: () => open(file),
    broken: () => open(`${file}.missing`),
  }
})

it('the docs show the source that is tested here', () => {
  const page = readFileSync(new URL('../../../docs/writing-a-plugin.md', import.meta.url), 'utf8')
  expect(page).toContain(readFileSync(new URL('line-source.ts', import.meta.url), 'utf8').trimEnd())
})
