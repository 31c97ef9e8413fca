import type { Shard, SnapshotRecord, SourceEvent } from '@ferrite-migrate/contracts'
import { copiedRecord } from './copied-event.js'
import { type Check, ensure, skip } from './harness.js'
import { everyShard } from './reading.js'
import { digestOf, nameOf } from './samples.js'
import { patienceOf, type SourceSubject } from './source-subject.js'
import { within } from './within.js'

/** Events that are held at once; a source need not give more than it has memory for. */
const HELD = 3
/** Without the next event by then the oldest one is released, for a source that waits for its memory. */
const HELD_MS = 500

/** An event with what its records were when it came. */
interface Held {
  readonly event: SourceEvent
  readonly records: readonly SnapshotRecord[]
  readonly copies: readonly SnapshotRecord[]
}

function letGo({ event, records, copies }: Held): void {
  for (const [i, record] of records.entries()) {
    const { key, expireAt, db } = copies[i]
    ensure(record.key.equals(key), `the key ${nameOf(key)} was another before its event was released`)
    ensure(record.db === db && record.expireAt === expireAt, `the end of ${nameOf(key)} changed before its release`)
    ensure(digestOf(record) === digestOf(copies[i]), `the value of ${nameOf(key)} changed before its release`)
  }
  if (event.kind === 'snapshot') event.release?.()
}

async function held(event: SourceEvent): Promise<Held> {
  // A value in slices is read to its end at once, and nothing of it stays.
  const records = event.kind === 'snapshot' ? event.records.filter(({ value }) => value.form !== 'sliced') : []
  const copies: SnapshotRecord[] = []
  for (const record of records) copies.push(await copiedRecord(record))
  if (event.kind === 'snapshot')
    for (const { value } of event.records) if (value.form === 'sliced') for await (const _ of value.slices);
  return { event, records, copies }
}

/** Reads a snapshot as the core does: several events are on their way to the target at once. */
async function readHolding(shard: Shard, patienceMs: number): Promise<void> {
  const iterator = shard.read({ signal: AbortSignal.timeout(patienceMs), changes: false })[Symbol.asyncIterator]()
  const waiting: Held[] = []
  for (;;) {
    const next = iterator.next()
    // Whoever fails before it is awaited has told already.
    next.catch(() => undefined)
    let oldest: Held | undefined
    while (waiting.length > 0 && !(await soon(next))) if ((oldest = waiting.shift()) !== undefined) letGo(oldest)
    const result = await within(next, patienceMs, 'the next event, all others released,')
    if (result.done === true) break
    waiting.push(await held(result.value))
    if (waiting.length > HELD && (oldest = waiting.shift()) !== undefined) letGo(oldest)
  }
  for (const one of waiting) letGo(one)
}

async function soon(next: Promise<unknown>): Promise<boolean> {
  const came = within(next, HELD_MS, 'the next event')
  return came.then(
    () => true,
    () => false,
  )
}

/** What a source promises about the memory of what it gives. */
export const sourceMemoryRules: readonly Check<SourceSubject>[] = [
  {
    rule: 'S6',
    name: 'keeps records valid until their event is released',
    run: async (subject) => {
      await everyShard(subject, (shard) => readHolding(shard, patienceOf(subject)))
    },
  },
  {
    rule: 'S7',
    name: 'gives a value in slices alone in its event',
    run: async (subject) => {
      let sliced = 0
      await everyShard(subject, async (shard) => {
        for await (const event of shard.read({ signal: AbortSignal.timeout(patienceOf(subject)), changes: false })) {
          if (event.kind !== 'snapshot') continue
          const slices = event.records.filter(({ value }) => value.form === 'sliced')
          sliced += slices.length
          ensure(slices.length === 0 || event.records.length === 1, 'a value in slices comes with other records')
          for (const { value } of slices) if (value.form === 'sliced') for await (const _ of value.slices);
          event.release?.()
        }
      })
      if (sliced === 0) skip('the source gave no value in slices')
    },
  },
]
