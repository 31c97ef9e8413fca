import { type KeyReader, type RawPage, type RawPages, SLICED_SHAPE } from '@ferrite-migrate/contracts'
import { sampleRecords } from '../dist/index.js'

/** A reader that is broken on purpose. */
export interface BrokenReader {
  readonly breaks: string
  readonly by: string
  change(reader: KeyReader): Partial<KeyReader>
}

/** A reader whose raw pages are broken. */
const pages =
  (change: (raw: RawPages) => Partial<RawPages>) =>
  ({ raw }: KeyReader): Partial<KeyReader> =>
    raw === undefined ? {} : { raw: { ...raw, ...change(raw) } }

async function changedPage(
  raw: RawPages,
  asked: Parameters<RawPages['page']>,
  change: (page: RawPage) => Partial<RawPage>,
): Promise<RawPage | null> {
  const page = await raw.page(...asked)
  return page && { ...page, ...change(page) }
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
    breaks: 'gives digests that are those of the values, where it does',
    by: 'a constant',
    change: (reader) => ({
      digest: async (db, keys) =>
        ((await reader.digest?.(db, keys)) ?? []).map((digest) => (digest === null ? null : Buffer.alloc(16))),
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
    change: pages((raw) => ({
      sliced: async (db, key) => {
        const record = await raw.sliced(db, key)
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
    })),
  },
  {
    breaks: 'reads raw pages: the same keys in the same bytes, others in others, where it does',
    by: 'all pages are the same bytes',
    change: pages((raw) => ({ page: (...asked) => changedPage(raw, asked, () => ({ bytes: Buffer.from('page') })) })),
  },
  {
    breaks: 'reads raw pages: the same keys in the same bytes, others in others, where it does',
    by: 'a page is never the same again',
    change: pages((raw) => {
      let made = 0
      return { page: (...asked) => changedPage(raw, asked, () => ({ bytes: Buffer.from(`page ${made++}`) })) }
    }),
  },
  {
    breaks: 'reads raw pages: the same keys in the same bytes, others in others, where it does',
    by: 'its records are in another order',
    change: pages((raw) => ({
      page: (...asked) => changedPage(raw, asked, ({ records }) => ({ records: () => records().toReversed() })),
    })),
  },
  {
    breaks: 'reads raw pages: the same keys in the same bytes, others in others, where it does',
    by: 'each key is to come in slices',
    change: pages(() => ({ shapes: async (_, keys) => new Uint8Array(keys.length).fill(SLICED_SHAPE) })),
  },
  {
    breaks: 'groups keys by what their values take, each once, where it does',
    by: 'the last group is missing',
    change: (reader) => ({
      byBytes: async (db, keys, most) => ((await reader.byBytes?.(db, keys, most)) ?? []).slice(0, -1),
    }),
  },
]
