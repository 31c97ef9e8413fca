import { appendFileSync, mkdtempSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { testContext, testSource } from '@ferrite-migrate/conformance'
import { stringRecord } from '@ferrite-migrate/contracts'
import { createSource } from '../src/index.js'

testSource({ describe, it }, 'SCHEME', async () => {
  const file = join(mkdtempSync(join(tmpdir(), 'SCHEME-')), 'lines.txt')
  const expected = [stringRecord('a', '1'), stringRecord('b', '2'), stringRecord('c', '')]
  writeFileSync(file, 'a\t1\nb\t2\nc\t\n')
  const open = () => createSource(testContext(`SCHEME://${file}`))
  return {
    source: await open(),
    expected,
    types: ['string'],
    change: async (key, value) => appendFileSync(file, `${key}\t${value}\n`),
    reopen: open,
    broken: () => createSource(testContext('SCHEME:///there/is/no/such/file')),
  }
})
