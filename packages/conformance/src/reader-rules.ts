import {
  type KeyReader,
  type RawPage,
  type ReaderAbilities,
  SLICED_SHAPE,
  type SnapshotRecord,
} from '@ferrite-migrate/contracts'
import { copiedRecord } from './copied-event.js'
import { type Check, ensure, skip } from './harness.js'
import { decodedOf, digestOf, nameOf } from './samples.js'

/** A reader over a store that holds exactly `expected`. */
export interface ReaderSubject {
  readonly reader: KeyReader
  readonly expected: readonly SnapshotRecord[]
  /** By how much an expiry may differ, ms. */
  readonly toleranceMs: number
}

const MISSING = Buffer.from('no such key')
/** Bytes that no sample takes. */
const NO_LIMIT = 1 << 30

/** Why nothing can be said of an ability. */
const WITHOUT: Readonly<Record<keyof ReaderAbilities, string>> = {
  digest: 'the reader has no `digest`: they are made of what it reads',
  describe: 'the reader has no `describe`',
  byBytes: 'the reader has no `byBytes`',
  raw: 'the reader has no `raw`',
}
const lacks =
  (ability: keyof ReaderAbilities) =>
  ({ reader }: ReaderSubject): string | null =>
    reader[ability] === undefined ? WITHOUT[ability] : null

/** All keys of database 0 with one behind them that is not there. */
const asked = ({ expected }: ReaderSubject): Buffer[] => [...expected.map(({ key }) => key), MISSING]

function oneEach(what: string, answers: readonly unknown[], keys: readonly Buffer[]): void {
  ensure(answers.length === keys.length, `${what} gives ${answers.length} answers to ${keys.length} keys`)
}

/** What every KeyReader does, of a source or a target. */
export const readerRules: readonly Check<ReaderSubject>[] = [
  {
    rule: 'R1',
    name: 'lists all keys, and no others',
    run: async ({ reader, expected }) => {
      const listed = new Set<string>()
      for await (const page of reader.keys())
        for (const { db, key } of page) {
          ensure(db === page[0].db, 'keys() gives keys of two databases in one batch')
          listed.add(key.toString('latin1'))
        }
      for (const { key } of expected) ensure(listed.delete(key.toString('latin1')), `keys() lacks ${nameOf(key)}`)
      ensure(listed.size === 0, `keys() gives what is no key: ${[...listed].join(', ')}`)
    },
  },
  {
    rule: 'R2',
    name: 'reads single keys, and null for those that are not there',
    run: async (subject) => {
      const keys = asked(subject)
      const read = await subject.reader.read(0, keys, true)
      oneEach('read()', read, keys)
      ensure(read.at(-1) === null, 'read() gives a record for a key that is not there')
      for (const [i, want] of subject.expected.entries()) {
        const got = read[i]
        ensure(
          got?.key.equals(want.key) === true && digestOf(got) === digestOf(want),
          `read() gives another value for ${nameOf(want.key)}`,
        )
      }
    },
  },
  {
    rule: 'R3',
    name: 'knows which keys exist',
    run: async (subject) => {
      const keys = asked(subject)
      const there = await subject.reader.exist(0, keys)
      oneEach('exist()', there, keys)
      ensure(there.slice(0, -1).every(Boolean), 'exist() does not know a key that is there')
      ensure(there.at(-1) === false, 'exist() knows a key that is not there')
    },
  },
  {
    rule: 'R4',
    name: 'tells when keys end: 0 for never, -1 for a key that is not there',
    run: async (subject) => {
      const keys = asked(subject)
      const ends = await subject.reader.expiries(0, keys)
      oneEach('expiries()', ends, keys)
      ensure(ends.at(-1) === -1, `expiries() of a key that is not there is ${ends.at(-1)}, not -1`)
      for (const [i, { key, expireAt }] of subject.expected.entries()) {
        const off = expireAt === 0 ? 0 : subject.toleranceMs
        ensure(Math.abs(ends[i] - expireAt) <= off, `expiries() of ${nameOf(key)} is ${ends[i]}, not ${expireAt}`)
      }
    },
  },
  {
    rule: 'R5',
    name: 'gives digests that are those of the values, where it does',
    skips: lacks('digest'),
    run: async (subject) => {
      const keys = asked(subject)
      const digests = (await subject.reader.digest?.(0, keys)) ?? []
      oneEach('digest()', digests, keys)
      ensure(digests.at(-1) === null, 'digest() of a key that is not there is not null')
      for (const [i, want] of subject.expected.entries())
        ensure(
          digests[i]?.toString('hex') === digestOf(want),
          `digest() of ${nameOf(want.key)} is not that of its value (digestValue of @ferrite-migrate/protocol)`,
        )
    },
  },
  {
    rule: 'R6',
    name: 'counts the keys of each database',
    run: async ({ reader, expected }) => {
      const sizes = await reader.size()
      const count = [...sizes.values()].reduce((sum, size) => sum + size, 0)
      ensure(count === expected.length, `size() is ${count}, and there are ${expected.length} keys`)
    },
  },
  {
    rule: 'R7',
    name: 'describes keys by type and end, where it does',
    skips: lacks('describe'),
    run: async (subject) => {
      const keys = asked(subject)
      const told = (await subject.reader.describe?.(0, keys)) ?? []
      oneEach('describe()', told, keys)
      ensure(told.at(-1) === null, 'describe() tells of a key that is not there')
      for (const [i, want] of subject.expected.entries()) {
        const { type } = decodedOf(want)
        ensure(told[i]?.type === type, `describe() of ${nameOf(want.key)} is ${told[i]?.type}, not ${type}`)
      }
    },
  },
  {
    rule: 'R8',
    name: 'reads a key in slices that add up, where it does',
    skips: lacks('raw'),
    run: async ({ reader: { raw }, expected }) => {
      for (const want of expected) {
        const sliced = (await raw?.sliced(0, want.key)) ?? null
        ensure(sliced !== null, `raw.sliced() does not find ${nameOf(want.key)}`)
        ensure(
          digestOf(await copiedRecord(sliced)) === digestOf(want),
          `the slices of ${nameOf(want.key)} do not add up`,
        )
      }
      ensure((await raw?.sliced(0, MISSING)) === null, 'raw.sliced() finds a key that is not there')
    },
  },
  {
    rule: 'R9',
    name: 'reads raw pages: the same keys in the same bytes, others in others, where it does',
    skips: lacks('raw'),
    run: async ({ reader: { raw }, expected }) => {
      if (raw === undefined) skip(WITHOUT.raw)
      ensure(raw.form !== '', 'the form of its raw pages has no name')
      const pageOf = async (...keys: Buffer[]): Promise<RawPage> => {
        const shapes = await raw.shapes(0, keys, NO_LIMIT)
        ensure(shapes.length === keys.length, `raw.shapes() gives ${shapes.length} answers to ${keys.length} keys`)
        ensure(!shapes.includes(SLICED_SHAPE), 'raw.shapes() wants slices of a value that is below the limit')
        return (await raw.page(0, keys, shapes)) ?? skip('the server gives no raw pages')
      }
      const keys = [...expected.map(({ key }) => key), MISSING]
      const page = await pageOf(...keys)
      const records = page.records()
      oneEach('the records of a raw page', records, keys)
      ensure(records.at(-1) === null, 'a raw page gives a record for a key that is not there')
      for (const [i, want] of expected.entries()) {
        const got = records[i]
        ensure(
          got?.key.equals(want.key) === true && digestOf(got) === digestOf(want),
          `a raw page gives another value for ${nameOf(want.key)}`,
        )
      }
      ensure(page.bytes.equals((await pageOf(...keys)).bytes), 'the same keys come in other bytes')
      const single = await Promise.all(expected.map(({ key }) => pageOf(key)))
      for (const [i, want] of expected.entries())
        for (const [j, other] of expected.slice(0, i).entries())
          ensure(
            digestOf(want) === digestOf(other) || !single[i].bytes.equals(single[j].bytes),
            `${nameOf(want.key)} and ${nameOf(other.key)} come in the same bytes`,
          )
    },
  },
  {
    rule: 'R10',
    name: 'groups keys by what their values take, each once, where it does',
    skips: lacks('byBytes'),
    run: async (subject) => {
      const keys = asked(subject)
      for (const most of [1, NO_LIMIT]) {
        const groups = (await subject.reader.byBytes?.(0, keys, most)) ?? []
        ensure(
          groups.every((group) => group.length > 0),
          'byBytes() gives a group of no key',
        )
        const names = groups.flatMap((group) => group.map((key) => key.toString('latin1'))).sort()
        const wanted = keys.map((key) => key.toString('latin1')).sort()
        ensure(names.join('\n') === wanted.join('\n'), 'byBytes() does not give each key once')
      }
    },
  },
]

/** The rules of a reader for a subject that has one, and why it has none. */
export function readerRulesOf<T>(open: (subject: T) => Promise<ReaderSubject | string>): readonly Check<T>[] {
  return readerRules.map((check) => ({
    rule: check.rule,
    name: check.name,
    run: async (subject) => {
      const opened = await open(subject)
      if (typeof opened === 'string') skip(opened)
      try {
        const reason = check.skips?.(opened) ?? null
        if (reason !== null) skip(reason)
        await check.run(opened)
      } finally {
        await opened.reader.close()
      }
    },
  }))
}

/** Everything that a KeyReader does, at once. @throws Error with what is wrong */
export async function checkReader(reader: KeyReader, expected: readonly SnapshotRecord[]): Promise<void> {
  try {
    for (const { rule, run } of readerRules)
      if (rule === 'R1' || rule === 'R2' || rule === 'R3') await run({ reader, expected, toleranceMs: 1000 })
  } finally {
    await reader.close()
  }
}
