import { mkdtempSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { sampleRecords, testContext, testSource } from '@ferrite-migrate/conformance'
import { createSource } from '@ferrite-migrate/source-jsoncsv'
import { describe, it } from 'vitest'
import { NdjsonWriter } from '../../export/dist/ndjson-writer.js'

testSource({ describe, it }, 'export of every type, as NDJSON', async () => {
  const expected = sampleRecords()
  const lines: string[] = []
  const writer = new NdjsonWriter({ write: (bytes) => void lines.push(bytes.toString()) })
  for (const record of expected) writer.record(record)
  const file = join(mkdtempSync(join(tmpdir(), 'fm-kit-')), 'data.ndjson')
  writeFileSync(file, lines.join(''))
  return { source: await open(`ndjson://${file}`, {}), expected, broken: () => open(`ndjson://${brokenFile()}`, {}) }
})

testSource({ describe, it }, 'CSV', async () => {
  const file = join(mkdtempSync(join(tmpdir(), 'fm-kit-')), 'data.csv')
  writeFileSync(file, 'id,text\n1,"a, ""b"""\n2,é\n')
  const hash = (id: string, text: string) => ({
    db: 0,
    key: Buffer.from(`k:${id}`),
    value: {
      form: 'items' as const,
      type: 'hash' as const,
      items: ['id', id, 'text', text].map((item) => Buffer.from(item)),
    },
    expireAt: 0,
  })
  return {
    source: await open(`csv://${file}`, { key: 'k:{id}' }),
    expected: [hash('1', 'a, "b"'), hash('2', 'é')],
    types: ['hash'],
    broken: () => open(`csv://${brokenFile()}`, { key: 'k:{id}' }),
  }
})

/** A file whose last row breaks off. */
function brokenFile(): string {
  const file = join(mkdtempSync(join(tmpdir(), 'fm-kit-')), 'broken')
  writeFileSync(file, 'id,text\n1,"a')
  return file
}

function open(url: string, options: Record<string, string>): ReturnType<typeof createSource> {
  return createSource(
    testContext(url, {
      nested: 'flatten',
      'into-db': 0,
      'on-error': 'fail',
      rejects: 'rejects.ndjson',
      'on-duplicate': 'last',
      header: 'auto',
      encoding: 'utf-8',
      'batch-size': 2,
      ...options,
    }),
  )
}
