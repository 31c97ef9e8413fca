import { changeOf, type SnapshotRecord, type SourceEvent } from '@ferrite-migrate/contracts'
import { changeSteps, mentions, names, plannedChanges } from './change-steps.js'
import { type Check, ensure, skip } from './harness.js'
import { runCommand } from './memory-commands.js'
import { MemoryStore } from './memory-store.js'
import { type Reading, reading, STOP_MS } from './reading.js'
import { decodedOf, nameOf } from './samples.js'
import { keyOf, type SourceSubject, withoutChanges } from './source-subject.js'

const following = { changes: true } as const
/** Without an event for so long a source is idle. */
const IDLE_MS = 300

const snapshotEnd = (event: SourceEvent): boolean => event.kind === 'snapshot-end'

/** The text that a record holds, where it is a string. */
export function textOf(record: SnapshotRecord | null | undefined): string | null {
  if (record === null || record === undefined) return null
  const value = decodedOf(record)
  return value.form === 'items' && value.type === 'string' ? value.items[0].toString() : null
}

/** What the changes of a reading lead to, from what its snapshot gave. @throws Skipped for a command that the kit does not run */
export function applied(events: readonly SourceEvent[]): MemoryStore {
  const store = new MemoryStore()
  for (const event of events) {
    if (event.kind === 'snapshot') for (const record of event.records) store.set(record)
    if (event.kind !== 'changes') continue
    for (const change of event.records)
      if (!runCommand(store, change)) skip(`the kit does not run ${change.name}, which the source gives`)
  }
  return store
}

/** The value of a key that the source called dirty. */
async function readAgain({ source }: SourceSubject, key: Buffer): Promise<SnapshotRecord | null> {
  const reader = source.reader?.()
  if (reader === undefined) {
    const { readAt } = source.shards[0]
    ensure(readAt !== undefined, 'keys are called dirty, and there is neither `reader` nor `readAt` to read them again')
    return (await readAt([{ db: 0, key }])).records[0]
  }
  try {
    return (await reader.read(0, [key], true))[0]
  } finally {
    await reader.close()
  }
}

/** Reads on until all these keys were spoken of. */
async function awaitKeys(one: Reading, keys: readonly string[]): Promise<void> {
  const lacking = (): string | undefined => keys.find((key) => !one.events.some((event) => mentions(event, key) > 0))
  for (let key = lacking(); key !== undefined; key = lacking()) {
    const wanted = key
    await one.until((event) => mentions(event, wanted) > 0, `a change of ${key}`)
  }
}

/** What a source does that gives changes. */
export const sourceChangeRules: readonly Check<SourceSubject>[] = [
  {
    rule: 'S10',
    name: 'ends soon when it is aborted while nothing happens',
    skips: (subject) => withoutChanges({ ...subject, recorded: subject.recorded ?? [] }),
    run: async (subject) => {
      await reading(subject, following, async (one) => {
        await one.until(snapshotEnd, 'the end of the snapshot')
        await one.rest(IDLE_MS)
        if (one.ended) skip('the reading ended by itself')
        const startedAt = Date.now()
        await one.stop()
        ensure(Date.now() - startedAt < STOP_MS, 'it ends late')
      })
    },
  },
  {
    rule: 'S11',
    name: 'gives changes after the snapshot',
    skips: ({ source }) => (source.capabilities.changes === 'none' ? 'the source claims no changes' : null),
    run: async (subject) => {
      const claimed = subject.source.capabilities.changes
      ensure(
        subject.change !== undefined || (subject.recorded?.length ?? 0) > 0,
        `the source claims ${claimed} changes, and the subject makes none: give it \`change\` or \`recorded\``,
      )
      await reading(subject, following, async (one) => {
        await changeSteps(subject, one, 1)
      })
    },
  },
  {
    rule: 'S12',
    name: 'gives a command with the bytes of its arguments and its name in upper case',
    skips: withoutChanges,
    run: async (subject) => {
      await reading(subject, following, async (one) => {
        await changeSteps(subject, one, 2)
        const changes = one.events.flatMap((event) => (event.kind === 'changes' ? event.records : []))
        if (changes.length === 0) skip('the source gives keys to read again, and no commands')
        for (const change of changes) {
          const { db, argv, receivedAt } = change
          ensure(argv.length > 0, 'a command without a name')
          const want = changeOf(db, argv, receivedAt)
          ensure(change.name === want.name, `the name of ${argv[0]} is ${change.name}, not ${want.name}`)
          ensure(change.resp.equals(want.resp), `\`resp\` of ${want.name} is not the bytes of its \`argv\``)
          ensure(Number.isInteger(db) && db >= 0, `${want.name} is of database ${db}`)
          ensure(
            Math.abs(receivedAt - Date.now()) < 86_400_000 || subject.recorded !== undefined,
            `\`receivedAt\` is ${receivedAt}`,
          )
        }
      })
    },
  },
  {
    rule: 'S13',
    name: 'gives changes that lead to the new values',
    skips: withoutChanges,
    run: async (subject) => {
      await reading(subject, following, async (one) => {
        const steps = await changeSteps(subject, one, 3)
        const store = applied(one.events)
        for (const { key, value, event } of steps) {
          const name = Buffer.from(key)
          const got = textOf(event.kind === 'dirty' ? await readAgain(subject, name) : store.get(0, name))
          ensure(
            got === value,
            `after its change ${nameOf(name)} is ${JSON.stringify(got)}, not ${JSON.stringify(value)}`,
          )
        }
      })
    },
  },
  {
    rule: 'S13',
    name: 'gives each change once, in order',
    skips: withoutChanges,
    run: async (subject) => {
      await reading(subject, following, async (one) => {
        await one.until(snapshotEnd, 'the end of the snapshot')
        const planned = plannedChanges(subject, 3)
        // Not one by one: what comes together can get into another order.
        for (const [key, value] of planned) await subject.change?.(key, value)
        const keys = planned.map(([key]) => key)
        await awaitKeys(one, keys)
        await one.rest(IDLE_MS)
        const commands = one.events.flatMap((event) => (event.kind === 'changes' ? event.records : []))
        const places = keys.map((key) => commands.flatMap((command, at) => (names(command, key) ? [at] : [])))
        if (places.every((list) => list.length === 0)) skip('the source gives keys to read again, and no commands')
        for (const [i, [first = -1, ...others]] of places.entries()) {
          ensure(first >= (places[i - 1]?.[0] ?? -1), `the change of ${keys[i]} came before an earlier one`)
          ensure(others.length === 0, `the change of ${keys[i]} came ${others.length + 1} times`)
        }
      })
    },
  },
  {
    rule: 'S14',
    name: 'never splits a transaction over two events',
    skips: (subject) =>
      withoutChanges(subject) ?? (subject.transaction === undefined ? 'the subject has no `transaction`' : null),
    run: async (subject) => {
      const entries = Array.from({ length: 20 }, (_, i) => [keyOf(subject, `together:${i}`), `value ${i}`] as const)
      const keys = entries.map(([key]) => key)
      await reading(subject, following, async (one) => {
        await one.until(snapshotEnd, 'the end of the snapshot')
        await subject.transaction?.(entries)
        await awaitKeys(one, keys)
        const events = one.events.filter((event) => keys.some((key) => mentions(event, key) > 0))
        if (events.some(({ kind }) => kind === 'dirty')) skip('the source gives keys to read again, and no commands')
        ensure(events.length === 1, `a transaction came in ${events.length} events`)
      })
    },
  },
  {
    rule: 'S15',
    name: 'starts an event with a command that empties the source',
    skips: (subject) => withoutChanges(subject) ?? (subject.flush === undefined ? 'the subject has no `flush`' : null),
    run: async (subject) => {
      await reading(subject, following, async (one) => {
        await one.until(snapshotEnd, 'the end of the snapshot')
        const [[first], [second]] = plannedChanges(subject, 2)
        // All at once, so that a source which gathers changes has something to gather.
        await Promise.all([subject.change?.(first, 'before'), subject.flush?.(), subject.change?.(second, 'after')])
        const flushes = (event: SourceEvent): boolean =>
          event.kind === 'changes' && event.records.some(({ name }) => /^FLUSH/.test(name))
        const told = await one.until(
          (event) => flushes(event) || (event.kind === 'dirty' && mentions(event, second) > 0),
          'the command that emptied the source',
        )
        if (told.kind !== 'changes') skip('the source gives keys to read again, and no commands')
        ensure(
          /^FLUSH/.test(told.records[0].name),
          'the command that emptied the source stands behind others in its event',
        )
      })
    },
  },
  {
    rule: 'S22',
    name: 'takes an acknowledgement of each position, and goes on',
    skips: (subject) =>
      withoutChanges(subject) ??
      (subject.source.shards[0].acknowledge === undefined ? 'the source has no `acknowledge`' : null),
    run: async (subject) => {
      const [shard] = subject.source.shards
      await reading(subject, following, async (one) => {
        await one.until(snapshotEnd, 'the end of the snapshot')
        for (const [key, value] of plannedChanges(subject, 3)) {
          const seen = one.events.find((event) => mentions(event, key) > 0)
          if (seen === undefined) await subject.change?.(key, value)
          const event =
            seen ?? (await one.until((next) => mentions(next, key) > 0, `a change of ${key} after an acknowledgement`))
          if ('position' in event && event.position !== undefined) shard.acknowledge?.(event.position)
        }
      })
    },
  },
  {
    rule: 'S23',
    name: 'tells how far it is behind in numbers that are not negative',
    skips: (subject) =>
      withoutChanges(subject) ?? (subject.source.shards[0].lag === undefined ? 'the source has no `lag`' : null),
    run: async (subject) => {
      const [shard] = subject.source.shards
      await reading(subject, following, async (one) => {
        const [step] = await changeSteps(subject, one, 1)
        for (const position of [undefined, step.event.position]) {
          const lag = (await shard.lag?.(position)) ?? {}
          for (const [unit, number] of Object.entries(lag))
            ensure(Number.isFinite(number) && Number(number) >= 0, `the lag is ${number} ${unit}`)
        }
      })
    },
  },
]
