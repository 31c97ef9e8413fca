import { MemoryStore, sampleRecords } from '@ferrite-migrate/conformance'
import { type KeyReader, stringRecord } from '@ferrite-migrate/contracts'
import { RecordFilter } from '@ferrite-migrate/core'
import { expect, it } from 'vitest'
import { verifyHashes } from '../dist/index.js'

const holding = (...changed: readonly ReturnType<typeof stringRecord>[]): MemoryStore => {
  const store = new MemoryStore()
  for (const record of [...sampleRecords(0), ...changed]) store.set(record)
  return store
}
/** A reader that leaves the digests to whoever wants them. */
function plain(store: MemoryStore): KeyReader {
  const { digest: _, ...reader } = store.reader()
  return reader
}
const verify = (source: KeyReader, target: KeyReader) =>
  verifyHashes({
    source,
    target,
    servers: null,
    algorithm: 'auto',
    filter: new RecordFilter({}),
    rate: 1,
    seed: 1,
    rounds: 1,
    signal: new AbortController().signal,
  })

it('digests are made of what a reader reads, where it has none of its own', async () => {
  const source = holding(stringRecord('other', 'here'))
  const target = holding(stringRecord('other', 'there'))
  const report = await verify(plain(source), target.reader())
  expect(report).toMatchObject({
    compared: 10,
    differences: [{ key: 'other', kind: 'value' }],
  })
  expect(await verify(plain(source), plain(source))).toMatchObject({ compared: 10, equal: true })
})
