import type { KeyReader, SnapshotRecord, Source, SourceEvent } from '@ferrite-migrate/contracts'
import { type Check, ensure } from './harness.js'
import { digestOf } from './samples.js'

/** What the kit needs to try a source: one that holds exactly `expected`. */
export interface SourceSubject {
  readonly source: Source
  readonly expected: readonly SnapshotRecord[]
  /** Changes a key at the source, for those that give changes. */
  change?(key: string, value: string): Promise<void>
}

const WAIT_MS = 20_000

async function snapshot(source: Source): Promise<{ events: SourceEvent[]; records: SnapshotRecord[] }> {
  const events: SourceEvent[] = []
  const records: SnapshotRecord[] = []
  for (const shard of source.shards)
    for await (const event of shard.read({ signal: AbortSignal.timeout(WAIT_MS), changes: false })) {
      events.push(event)
      if (event.kind === 'snapshot')
        for (const { db, key, value, expireAt } of event.records) {
          if (value.form === 'sliced') for await (const _ of value.slices);
          else
            records.push({
              db,
              key: Buffer.from(key),
              value: value.form === 'rdb' ? { ...value, body: Buffer.from(value.body) } : value,
              expireAt,
            })
        }
      if (event.kind === 'snapshot' || event.kind === 'changes') event.release?.()
    }
  return { events, records }
}

/** What every source must do; each check is named after the fault it finds. */
export const sourceChecks: readonly Check<SourceSubject>[] = [
  {
    name: 'starts with a sync event and ends a snapshot with snapshot-end',
    run: async ({ source }) => {
      const { events } = await snapshot(source)
      ensure(events[0]?.kind === 'sync', `the first event is ${events[0]?.kind}`)
      ensure(events.at(-1)?.kind === 'snapshot-end', `the last event is ${events.at(-1)?.kind}`)
    },
  },
  {
    name: 'gives every key',
    run: async ({ source, expected }) => {
      const { records } = await snapshot(source)
      const got = new Set(records.map(({ key }) => key.toString('latin1')))
      const lacking = expected.filter(({ key }) => !got.has(key.toString('latin1')))
      ensure(lacking.length === 0, `missing: ${lacking.map(({ key }) => key.toString('latin1')).join(', ')}`)
    },
  },
  {
    name: 'gives no key that is not there',
    run: async ({ source, expected }) => {
      const { records } = await snapshot(source)
      const known = new Set(expected.map(({ key }) => key.toString('latin1')))
      ensure(
        records.every(({ key }) => known.has(key.toString('latin1'))),
        'a key came that the source does not hold',
      )
    },
  },
  {
    name: 'gives values byte for byte',
    run: async ({ source, expected }) => {
      const { records } = await snapshot(source)
      for (const want of expected) {
        const got = records.find(({ key }) => key.equals(want.key))
        ensure(
          got !== undefined && digestOf(got) === digestOf(want),
          `the value of ${want.key.toString('latin1')} differs`,
        )
      }
    },
  },
  {
    name: 'gives expiries as absolute times',
    run: async ({ source, expected }) => {
      const { records } = await snapshot(source)
      const tolerance = Math.max(1000, source.capabilities.expiryPrecisionMs ?? 0)
      for (const want of expected) {
        const got = records.find(({ key }) => key.equals(want.key))
        ensure(
          got !== undefined && Math.abs(got.expireAt - want.expireAt) <= tolerance,
          `the expiry of ${want.key.toString('latin1')} is ${got?.expireAt}, not ${want.expireAt}`,
        )
      }
    },
  },
  {
    name: 'ends without an error when it is aborted',
    run: async ({ source }) => {
      const abort = new AbortController()
      for await (const event of source.shards[0].read({
        signal: abort.signal,
        changes: source.capabilities.changes !== 'none',
      })) {
        if (event.kind === 'snapshot' || event.kind === 'changes') event.release?.()
        abort.abort()
      }
    },
  },
  {
    name: 'gives changes after the snapshot',
    run: async ({ source, change }) => {
      if (source.capabilities.changes === 'none' || change === undefined) return
      const abort = new AbortController()
      const timer = setTimeout(() => abort.abort(), WAIT_MS)
      let seen = false
      for await (const event of source.shards[0].read({ signal: abort.signal, changes: true })) {
        if (event.kind === 'snapshot-end') await change('changed', 'later')
        if (event.kind === 'changes') {
          if (event.records.some(({ argv }) => argv[1]?.toString('latin1') === 'changed')) seen = true
          event.release?.()
        } else if (event.kind === 'snapshot') event.release?.()
        else if (event.kind === 'dirty' && event.keys.some(({ key }) => key.toString('latin1') === 'changed'))
          seen = true
        if (seen) abort.abort()
      }
      clearTimeout(timer)
      ensure(seen, 'a write after the snapshot never came')
    },
  },
  {
    name: 'reads single keys, and null for those that are not there',
    run: async ({ source, expected }) => {
      const reader = source.reader?.()
      if (reader === undefined) return
      await checkReader(reader, expected)
    },
  },
]

/** What every KeyReader must do, of a source or a target. */
export async function checkReader(reader: KeyReader, expected: readonly SnapshotRecord[]): Promise<void> {
  try {
    const listed = new Set<string>()
    for await (const page of reader.keys()) for (const { key } of page) listed.add(key.toString('latin1'))
    for (const { key } of expected) ensure(listed.has(key.toString('latin1')), `keys() lacks ${key.toString('latin1')}`)
    const keys = [...expected.map(({ key }) => key), Buffer.from('no such key')]
    const read = await reader.read(0, keys, true)
    ensure(read.at(-1) === null, 'read() gives a record for a key that is not there')
    expected.forEach((want, i) => {
      const got = read[i]
      ensure(
        got !== null && digestOf(got) === digestOf(want),
        `read() gives another value for ${want.key.toString('latin1')}`,
      )
    })
    const there = await reader.exist(0, keys)
    ensure(there.slice(0, -1).every(Boolean) && there.at(-1) === false, 'exist() is wrong')
  } finally {
    await reader.close()
  }
}
