import { MemorySource, MemoryStore, testContext } from '@ferrite-migrate/conformance'
import type { SnapshotRecord, Source, SourceEvent, ValueSlice } from '@ferrite-migrate/contracts'
import { expect, it } from 'vitest'
import { resolveConfig } from '../../dist/config/config.js'
import { type Preview, previewTransform } from '../../dist/transform/preview.js'
import { bytes, names, record } from '../doubles.js'

/** What is shown of a source of which only some keys are taken. */
function preview(source: Source, include: string[], limit = 2, most?: number): Promise<Preview> {
  const config = resolveConfig({
    source: 'memory://',
    target: 'memory://',
    filter: { include },
    keyTemplate: 'new:{key}',
  })
  const registry = {
    source: async () => source,
    transform: () => Promise.reject(new Error('there is no script')),
  }
  return previewTransform(config, registry, testContext('memory://'), limit, most)
}

/** A source that can only be read from its beginning to its end. */
function asFile(...events: SourceEvent[]): Source {
  return {
    capabilities: { kind: 'file', changes: 'none', resume: 'none' },
    description: { product: 'file' },
    shards: [
      {
        id: '0',
        async *read() {
          yield* events
        },
      },
    ],
    [Symbol.asyncDispose]: async () => undefined,
  }
}
const snapshot = (...records: SnapshotRecord[]): SourceEvent => ({ kind: 'snapshot', records, byteLength: 0 })

/** Counts the values that are read of it. */
class CountedStore extends MemoryStore {
  read = 0

  override reader(): ReturnType<MemoryStore['reader']> {
    const reader = super.reader()
    const read = reader.read.bind(reader)
    reader.read = (db, keys, whole) => {
      this.read += keys.length
      return read(db, keys, whole)
    }
    return reader
  }
}

function stored(count: number, ...last: string[]): CountedStore {
  const store = new CountedStore()
  for (let i = 0; i < count; i++) store.set(record(`a:${i}`))
  for (const key of last) store.set(record(key))
  return store
}

it('reads on where the first keys are all left out, and no value of them', async () => {
  const store = stored(500, 'z:1', 'z:2', 'z:3')
  const { keys, more } = await preview(new MemorySource(store), ['z:*'])
  expect(keys.map(({ key, after }) => [String(key), String(after?.key)])).toEqual([
    ['z:1', 'new:z:1'],
    ['z:2', 'new:z:2'],
  ])
  expect([more, store.read]).toEqual([true, 2])
})

it('of a source without such keys says so at its end', async () => {
  expect(await preview(new MemorySource(stored(250)), ['z:*'])).toEqual({ keys: [], looked: 250, more: false })
})

it('ends when it has looked at enough, with what it has found', async () => {
  const source = new MemorySource(stored(1000, 'z:1'))
  expect(await preview(source, ['z:*'], 2, 300)).toEqual({ keys: [], looked: 300, more: true })
  const found = await preview(source, ['a:7'], 2, 300)
  expect([names(found.keys), found.looked]).toEqual([['a:7'], 300])
})

it('counts what a file left unread, and reads it on as well', async () => {
  const passed: SourceEvent = { kind: 'snapshot', records: [], byteLength: 0, passed: 900 }
  const found = await preview(asFile(passed, snapshot(record('a')), snapshot(record('z:1'))), ['z:*'])
  expect([names(found.keys), found.looked, found.more]).toEqual([['z:1'], 902, false])
})

it('reads past a large value that is left out: what follows it stands behind it in the file', async () => {
  let isRead = false
  async function* slices(): AsyncGenerator<ValueSlice> {
    yield { items: [bytes('a')] }
    yield { items: [bytes('b')] }
    isRead = true
  }
  let wasRead = false
  const large: SnapshotRecord = {
    ...record('a'),
    value: { form: 'sliced', type: 'list', slices: slices() },
  }
  const source = asFile()
  const [shard] = source.shards
  shard.read = async function* () {
    yield snapshot(large)
    wasRead = isRead
    yield snapshot(record('z:1'))
  }
  const { keys } = await preview(source, ['z:*'])
  expect([wasRead, names(keys)]).toEqual([true, ['z:1']])
})

it('gives the buffers of an event back, also those of the last', async () => {
  let released = 0
  const one = (key: string): SourceEvent => ({
    kind: 'snapshot',
    records: [record(key)],
    byteLength: 0,
    release: () => released++,
  })
  const { keys } = await preview(asFile(one('z:1'), one('z:2'), one('z:3')), ['z:*'])
  expect([names(keys), released]).toEqual([['z:1', 'z:2'], 2])
})
