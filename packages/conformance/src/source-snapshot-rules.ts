import type { SnapshotRecord } from '@ferrite-migrate/contracts'
import { type Check, ensure, skip } from './harness.js'
import { reading, snapshotOf } from './reading.js'
import { decodedOf, digestOf, nameOf, SAMPLE_TYPES } from './samples.js'
import { ownRecords, type SourceSubject } from './source-subject.js'

const named = ({ db, key }: { readonly db: number; readonly key: Buffer }): string => `${db}:${key.toString('latin1')}`

function sameValues(expected: readonly SnapshotRecord[], records: readonly SnapshotRecord[]): void {
  const got = new Map(records.map((record) => [named(record), record]))
  for (const want of expected) {
    const record = got.get(named(want))
    ensure(
      record !== undefined && digestOf(record) === digestOf(want),
      `the value of ${nameOf(want.key)} ${record === undefined ? 'did not come' : 'differs'}`,
    )
  }
}

/** One rule a type, so that what a source cannot hold is told by its name. */
const typeRules: readonly Check<SourceSubject>[] = SAMPLE_TYPES.map((type) => ({
  rule: 'S4',
  name: `gives a ${type} as it is`,
  skips: ({ expected, types }) =>
    types === undefined
      ? expected.some((record) => decodedOf(record).type === type)
        ? null
        : `the subject expects no ${type}`
      : types.includes(type)
        ? null
        : `the source cannot hold a ${type}`,
  run: async (subject) => {
    const wanted = subject.expected.filter((record) => decodedOf(record).type === type)
    ensure(wanted.length > 0, `the subject says that the source holds a ${type}, and expects none`)
    sameValues(wanted, (await snapshotOf(subject)).records)
  },
}))

/** What every source does when it is read as a whole. */
export const sourceSnapshotRules: readonly Check<SourceSubject>[] = [
  {
    rule: 'S1',
    name: 'starts with a sync event and ends a snapshot with snapshot-end',
    run: async (subject) => {
      const { events } = await snapshotOf({ ...subject, source: subject.source })
      const kinds = events.map(({ kind }) => kind)
      ensure(kinds[0] === 'sync', `the first event is ${kinds[0]}`)
      ensure(kinds.at(-1) === 'snapshot-end', `the last event is ${kinds.at(-1)}`)
      const { shards } = subject.source
      ensure(
        kinds.filter((kind) => kind === 'snapshot-end').length === shards.length,
        'snapshot-end comes once a shard',
      )
      ensure(events[0]?.kind === 'sync' && events[0].mode === 'full', 'a reading from nowhere is a full one')
    },
  },
  {
    rule: 'S1',
    name: 'gives each shard an id of its own',
    run: async ({ source }) => {
      const ids = source.shards.map(({ id }) => id)
      ensure(ids.length > 0 && ids.every((id) => id !== ''), 'there is no shard, or one without an id')
      ensure(new Set(ids).size === ids.length, 'two shards have one id')
    },
  },
  {
    rule: 'S2',
    name: 'gives every key',
    run: async (subject) => {
      const got = new Set((await snapshotOf(subject)).records.map(named))
      const lacking = subject.expected.filter((record) => !got.has(named(record)))
      ensure(lacking.length === 0, `missing: ${lacking.map(({ key }) => nameOf(key)).join(', ')}`)
    },
  },
  {
    rule: 'S2',
    name: 'gives every key again to who reads again',
    run: async (subject) => {
      await snapshotOf(subject)
      const again = new Set((await snapshotOf(subject)).records.map(named))
      const lacking = subject.expected.filter((record) => !again.has(named(record)))
      ensure(lacking.length === 0, `missing the second time: ${lacking.map(({ key }) => nameOf(key)).join(', ')}`)
    },
  },
  {
    rule: 'S2',
    name: 'gives no key that is not there',
    run: async (subject) => {
      const known = new Set(subject.expected.map(named))
      const invented = (await snapshotOf(subject)).records.filter((record) => !known.has(named(record)))
      ensure(invented.length === 0, `invented: ${invented.map(({ key }) => nameOf(key)).join(', ')}`)
    },
  },
  {
    rule: 'S3',
    name: 'gives no key twice where it says so',
    skips: ({ source }) => (source.capabilities.uniqueKeys === true ? null : 'the source does not claim uniqueKeys'),
    run: async (subject) => {
      const names = (await snapshotOf(subject)).records.map(named)
      const twice = names.filter((name, i) => names.indexOf(name) < i)
      ensure(twice.length === 0, `twice: ${twice.join(', ')}`)
    },
  },
  {
    rule: 'S4',
    name: 'gives values byte for byte',
    run: async (subject) => sameValues(subject.expected, (await snapshotOf(subject)).records),
  },
  ...typeRules,
  {
    rule: 'S5',
    name: 'gives expiries as absolute times',
    run: async (subject) => {
      const { source, expected } = subject
      const { records } = await snapshotOf(subject)
      const tolerance = Math.max(1000, source.capabilities.expiryPrecisionMs ?? 0)
      for (const want of expected) {
        const got = records.find(({ db, key }) => db === want.db && key.equals(want.key))
        // That a key never ends is no measure: 0 is 0.
        const off = want.expireAt === 0 || got?.expireAt === 0 ? 0 : tolerance
        ensure(
          got !== undefined && Math.abs(got.expireAt - want.expireAt) <= off,
          `the expiry of ${nameOf(want.key)} is ${got?.expireAt}, not ${want.expireAt}`,
        )
      }
    },
  },
  {
    rule: 'S8',
    name: 'ends without an error when it is aborted',
    run: async (subject) => {
      const changes = subject.source.capabilities.changes !== 'none'
      await reading(subject, { changes }, async (one) => {
        await one.next('the first event')
        await one.stop()
      })
      await reading(subject, { changes }, async (one) => {
        await one.next('the first event')
        await one.next('the second event')
        await one.stop()
      })
    },
  },
  {
    rule: 'S9',
    name: 'starts over with a full sync and a whole snapshot',
    skips: ({ startOver }) => (startOver === undefined ? 'the subject has no `startOver`' : null),
    run: async (subject) => {
      const wanted = ownRecords(subject)
      await reading(subject, { changes: true }, async (one) => {
        await one.until((event) => event.kind === 'snapshot-end', 'the end of the snapshot')
        const before = one.events.length
        await subject.startOver?.()
        await one.until((event) => event.kind === 'sync' && event.mode === 'full', 'a sync event with mode full')
        await one.until((event) => event.kind === 'snapshot-end', 'the end of the second snapshot')
        const records = one.events.slice(before).flatMap((event) => (event.kind === 'snapshot' ? event.records : []))
        sameValues(wanted, records)
      })
    },
  },
  {
    rule: 'S25',
    name: 'sees a key that is there, and no other one',
    skips: ({ source, expected }) =>
      source.sees === undefined
        ? 'the source has no `sees`'
        : expected.length === 0
          ? 'the subject holds no key'
          : null,
    run: async ({ source, expected: [one] }) => {
      if (source.sees === undefined) skip('the source has no `sees`')
      ensure(await source.sees(one.db, one.key), 'it does not see a key that is there')
      ensure(!(await source.sees(one.db, Buffer.from('no such key'))), 'it sees a key that is not there')
    },
  },
]
