import type { Position, SnapshotRecord, Source, SourceEvent } from '@ferrite-migrate/contracts'
import { MigrateError } from '@ferrite-migrate/contracts'
import { type ChangeStep, changeStep, changeSteps, mentions, plannedChanges } from './change-steps.js'
import { type Check, ensure, skip } from './harness.js'
import { type Reading, reading, snapshotOf } from './reading.js'
import { nameOf } from './samples.js'
import { applied, textOf } from './source-change-rules.js'
import { keyOf, ownRecords, patienceOf, type SourceSubject, withoutChanges } from './source-subject.js'

/** How long a resumed reading is watched for what must not come. */
const WATCH_MS = 300

function positionOf(event: SourceEvent): Position | undefined {
  return 'position' in event ? event.position : undefined
}

/** Whether a position tells anything here. */
const resumes = ({ source }: SourceSubject, what: 'snapshot' | 'changes'): boolean =>
  source.capabilities.resume === what || source.capabilities.resume === 'both'

const claims = (subject: SourceSubject, what: 'snapshot' | 'changes'): string | null =>
  resumes(subject, what) ? null : `the source claims resume ${subject.source.capabilities.resume}`

/** The subject as a later process finds it. */
async function later(subject: SourceSubject, work: (later: SourceSubject) => Promise<void>): Promise<void> {
  if (subject.reopen === undefined) {
    await work(subject)
    return
  }
  const source: Source = await subject.reopen()
  try {
    await work({ ...subject, source })
  } finally {
    await source[Symbol.asyncDispose]()
  }
}

function mustResume(one: Reading): void {
  const [first] = one.events
  ensure(
    first?.kind === 'sync' && first.mode === 'partial',
    `read from a position of its own, it gives ${first?.kind === 'sync' ? `sync ${first.mode}` : first?.kind}, not sync partial`,
  )
}

/** Reads a snapshot up to a position, and stops there. */
async function firstPart(subject: SourceSubject): Promise<{ position: Position; records: readonly SnapshotRecord[] }> {
  return reading(subject, { changes: false }, async (one) => {
    const event = await one
      .until((next) => next.kind !== 'sync' && positionOf(next) !== undefined, 'a position')
      .catch(() => undefined)
    const position = event && positionOf(event)
    ensure(position !== undefined, 'the source claims to resume snapshots, and no event of one has a position')
    return { position, records: one.records }
  })
}

/** Reads changes up to a step before the last, and stops; gives the steps. */
async function somePart(subject: SourceSubject): Promise<readonly ChangeStep[]> {
  return reading(subject, { changes: true }, (one) => changeSteps(subject, one, 3))
}

/** From this position exactly these changes come, each once. */
async function exactly(
  subject: SourceSubject,
  from: Position,
  wanted: readonly string[],
  unwanted: readonly string[],
): Promise<void> {
  await reading(subject, { changes: true, from }, async (one) => {
    await one.next('the first event of a resumed reading')
    mustResume(one)
    for (const key of wanted)
      if (!one.events.some((event) => mentions(event, key) > 0))
        await one.until((event) => mentions(event, key) > 0, `the change of ${key}, which is behind the position,`)
    await one.rest(WATCH_MS)
    const times = (key: string): number => one.events.reduce((sum, event) => sum + mentions(event, key), 0)
    for (const key of wanted) ensure(times(key) === 1, `the change of ${key} came ${times(key)} times after the resume`)
    for (const key of unwanted) ensure(times(key) === 0, `the change of ${key} came again after the resume`)
  })
}

/** What the positions of a source are good for. */
export const sourcePositionRules: readonly Check<SourceSubject>[] = [
  {
    rule: 'S16',
    name: 'gives each change a position, which moves on',
    skips: withoutChanges,
    run: async (subject) => {
      await reading(subject, { changes: true }, async (one) => {
        const steps = await changeSteps(subject, one, 3)
        if (steps.every(({ event }) => event.kind === 'dirty' && event.position === undefined))
          skip('the source gives keys to read again, without positions')
        for (const event of one.events) {
          const position = positionOf(event)
          if (event.kind === 'changes' || position !== undefined)
            ensure(
              typeof position === 'string' && position !== '',
              `the position of a ${event.kind} event is ${position}`,
            )
        }
        const events = [...new Set(steps.map(({ event }) => event))]
        const positions = events.map(({ position }) => position)
        ensure(new Set(positions).size === positions.length, `two events with changes stand at ${positions.at(-1)}`)
      })
    },
  },
  {
    rule: 'S17',
    name: 'knows which of two positions covers the other',
    skips: (subject) =>
      withoutChanges(subject) ?? (subject.source.shards[0].covers === undefined ? 'the source has no `covers`' : null),
    run: async (subject) => {
      const [shard] = subject.source.shards
      await reading(subject, { changes: true }, async (one) => {
        const steps = await changeSteps(subject, one, 3)
        const covers = (a: Position, b: Position): boolean => shard.covers?.(a, b) ?? false
        const positions = [...new Set(steps.map(({ event }) => event.position))].filter((one) => one !== undefined)
        ensure(positions.length > 0, 'it has `covers`, and changes without positions')
        for (const [i, position] of positions.entries()) {
          ensure(covers(position, position), `${position} does not cover itself`)
          if (i === 0) continue
          ensure(covers(position, positions[i - 1]), `${position} does not cover the earlier ${positions[i - 1]}`)
          ensure(!covers(positions[i - 1], position), `${positions[i - 1]} covers the later ${position}`)
        }
      })
    },
  },
  {
    rule: 'S18',
    name: 'goes on with a snapshot behind a position: nothing lost',
    skips: (subject) => claims(subject, 'snapshot'),
    run: async (subject) => {
      const wanted = ownRecords(subject)
      const before = await firstPart(subject)
      await later(subject, (after) =>
        reading(after, { changes: false, from: before.position }, async (one) => {
          await one.next('the first event of a resumed reading')
          mustResume(one)
          if (!one.events.some(({ kind }) => kind === 'snapshot-end'))
            await one.until((event) => event.kind === 'snapshot-end', 'the end of the snapshot')
          const names = [...before.records, ...one.records].map(({ db, key }) => `${db}:${key.toString('latin1')}`)
          for (const { db, key } of wanted)
            ensure(names.includes(`${db}:${key.toString('latin1')}`), `${nameOf(key)} came neither before nor after`)
        }),
      )
    },
  },
  {
    rule: 'S18',
    name: 'goes on with a snapshot behind a position: nothing twice',
    skips: (subject) =>
      claims(subject, 'snapshot') ??
      (subject.source.capabilities.uniqueKeys === true ? null : 'the source does not claim uniqueKeys'),
    run: async (subject) => {
      const before = await firstPart(subject)
      await later(subject, async (after) => {
        const twice = await reading(after, { changes: false, from: before.position }, async (one) => {
          while ((await one.next('the next event of a resumed snapshot')) !== null);
          return one.records.filter(({ db, key }) =>
            before.records.some((former) => former.db === db && former.key.equals(key)),
          )
        })
        ensure(twice.length === 0, `came again: ${twice.map(({ key }) => nameOf(key)).join(', ')}`)
      })
    },
  },
  {
    rule: 'S19',
    name: 'goes on with changes behind a position: nothing lost, nothing twice',
    skips: (subject) => claims(subject, 'changes') ?? withoutChanges(subject),
    run: async (subject) => {
      const steps = await somePart(subject)
      const [first, second] = steps
      ensure(second !== undefined, 'the subject has too few changes: three are needed, each in an event of its own')
      const from = first.event.position
      ensure(from !== undefined, 'the source claims to resume changes, and a change has no position')
      const together = steps.filter(({ event }) => event === first.event).map(({ key }) => key)
      const behind = steps.map(({ key }) => key).filter((key) => !together.includes(key))
      const missed = (subject.change === undefined ? [] : ['kit:missed', 'kit:missed too']).map((name) =>
        keyOf(subject, name),
      )
      for (const key of missed) await subject.change?.(key, 'while nobody read')
      const all = subject.recorded?.map(([key]) => key) ?? []
      const others = all.filter((key) => !together.includes(key) && !behind.includes(key))
      await later(subject, (after) => exactly(after, from, [...behind, ...others, ...missed], together))
    },
  },
  {
    rule: 'S19',
    name: 'goes on behind the end of its snapshot',
    skips: (subject) => claims(subject, 'changes') ?? withoutChanges(subject),
    run: async (subject) => {
      const end = await reading(subject, { changes: true }, (one) =>
        one.until((event) => event.kind === 'snapshot-end', 'the end of the snapshot'),
      )
      const from = positionOf(end)
      ensure(from !== undefined, 'the source claims to resume changes, and the end of its snapshot has no position')
      const planned = plannedChanges(subject, 2)
      for (const [key, value] of planned) await subject.change?.(key, value)
      const keys = planned.map(([key]) => key)
      await later(subject, (after) => exactly(after, from, keys, []))
    },
  },
  {
    rule: 'S20',
    name: 'refuses what is no position of its own by a MigrateError',
    skips: ({ source }) => (source.capabilities.resume === 'none' ? 'the source claims resume none' : null),
    run: async (subject) => {
      // Who resumes snapshots only is asked for no more than that.
      const changes = resumes(subject, 'changes')
      await reading(subject, { changes, from: 'no position of this source' }, async (one) => {
        const error: unknown = await one.next('an error').then(
          () => null,
          (reason: unknown) => reason,
        )
        ensure(error !== null, 'it reads from a position that is none')
        ensure(error instanceof MigrateError, `it throws ${error}, which is no MigrateError`)
      })
    },
  },
  {
    rule: 'S21',
    name: 'is broken with a MigrateError',
    skips: ({ broken }) => (broken === undefined ? 'the subject has no `broken`' : null),
    run: async (subject) => {
      const error: unknown = await brokenError(subject)
      ensure(error !== null, 'a broken source was opened and read without an error')
      ensure(error instanceof MigrateError, `a broken source throws ${error}, which is no MigrateError`)
      ensure(error.hint !== '', `${error.code} says nothing of what to do about it`)
    },
  },
  {
    rule: 'S24',
    name: 'reads values that belong to their position',
    skips: (subject) =>
      withoutChanges(subject) ??
      (subject.source.shards[0].readAt === undefined
        ? 'the source has no `readAt`'
        : subject.change === undefined
          ? 'the subject has no `change`'
          : null),
    run: async (subject) => {
      const [shard] = subject.source.shards
      const [name, last] = ['kit:at', 'kit:last'].map((one) => keyOf(subject, one))
      const key = Buffer.from(name)
      await reading(subject, { changes: true }, async (one) => {
        await one.until((event) => event.kind === 'snapshot-end', 'the end of the snapshot')
        await changeStep(subject, one, [name, 'first'])
        await subject.change?.(name, 'second')
        const found = await shard.readAt?.([
          { db: 0, key },
          { db: 0, key: Buffer.from('no such key') },
        ])
        ensure(found !== undefined && found.records.length === 2, '`readAt` does not answer once for each key')
        ensure(found.position !== '', '`readAt` gives no position')
        ensure(found.records[1] === null, '`readAt` gives a record for a key that is not there')
        const read = textOf(found.records[0])
        await subject.change?.(name, 'third')
        await changeStep(subject, one, [last, 'x'])
        mustBelong(one, found.position, key, read, (a, b) => shard.covers?.(a, b) ?? a === b)
      })
    },
  },
]

/** The changes up to the position of a read value must lead to that value. */
function mustBelong(
  one: Reading,
  mark: Position,
  key: Buffer,
  read: string | null,
  covers: (position: Position, mark: Position) => boolean,
): void {
  const at = one.events.findIndex((event) => event.kind === 'changes' && covers(event.position, mark))
  ensure(at >= 0, `no event of changes reaches the position ${mark} of \`readAt\``)
  const position = positionOf(one.events[at])
  ensure(
    position !== undefined && covers(mark, position),
    `no event of changes ends at the position ${mark} of \`readAt\`: ${position} is behind it`,
  )
  const then = textOf(applied(one.events.slice(0, at + 1)).get(0, key))
  ensure(
    then === read,
    `\`readAt\` gives ${JSON.stringify(read)}, and at its position the key is ${JSON.stringify(then)}`,
  )
}

async function brokenError(subject: SourceSubject): Promise<unknown> {
  try {
    const source = await subject.broken?.()
    if (source === undefined) return null
    try {
      await snapshotOf({ ...subject, source, patienceMs: patienceOf(subject) })
      return null
    } finally {
      await source[Symbol.asyncDispose]()
    }
  } catch (error) {
    return error
  }
}
