import type { KeyReader } from '@ferrite-migrate/contracts'
import { sampleRecords } from '../dist/index.js'

/** A reader that is broken on purpose. */
export interface BrokenReader {
  readonly breaks: string
  readonly by: string
  change(reader: KeyReader): Partial<KeyReader>
}

/** One for each rule of readers. */
export const BROKEN_READERS: readonly BrokenReader[] = [
  {
    breaks: 'lists all keys, and no others',
    by: 'a checkpoint among the keys',
    change: (reader) => ({
      async *keys() {
        yield* reader.keys()
        yield [{ db: 0, key: Buffer.from('checkpoint') }]
      },
    }),
  },
  {
    breaks: 'lists all keys, and no others',
    by: 'no key of the last batch',
    change: (reader) => ({
      async *keys() {
        let last = null
        for await (const page of reader.keys()) {
          if (last !== null) yield last
          last = page
        }
      },
    }),
  },
  {
    breaks: 'reads single keys, and null for those that are not there',
    by: 'a record for a key that is not there',
    change: () => ({ read: async () => [...sampleRecords(), sampleRecords()[0]] }),
  },
  {
    breaks: 'knows which keys exist',
    by: 'every key exists',
    change: () => ({ exist: async (_, keys) => keys.map(() => true) }),
  },
  {
    breaks: 'tells when keys end: 0 for never, -1 for a key that is not there',
    by: 'a key that is not there never ends',
    change: (reader) => ({
      expiries: async (db, keys) => (await reader.expiries(db, keys)).map((end) => Math.max(0, end)),
    }),
  },
  {
    breaks: 'gives digests that are those of the values',
    by: 'a constant',
    change: (reader) => ({
      digest: async (db, keys) =>
        (await reader.digest(db, keys)).map((digest) => (digest === null ? null : Buffer.alloc(16))),
    }),
  },
  {
    breaks: 'counts the keys of each database',
    by: 'none',
    change: () => ({ size: async () => new Map() }),
  },
  {
    breaks: 'describes keys by type and end, where it does',
    by: 'every key is a string',
    change: (reader) => ({
      describe: async (db, keys) =>
        ((await reader.describe?.(db, keys)) ?? []).map((told) => (told === null ? null : { ...told, type: 'string' })),
    }),
  },
  {
    breaks: 'reads a key in slices that add up, where it does',
    by: 'the first slice is missing',
    change: (reader) => ({
      readSliced: async (db, key) => {
        const record = (await reader.readSliced?.(db, key)) ?? null
        if (record?.value.form !== 'sliced') return record
        const { slices } = record.value
        const rest = async function* () {
          let first = true
          for await (const slice of slices) {
            if (!first) yield slice
            first = false
          }
        }
        return { ...record, value: { ...record.value, slices: rest() } }
      },
    }),
  },
]
