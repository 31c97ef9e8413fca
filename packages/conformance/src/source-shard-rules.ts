import type { Shard, ShardChange } from '@ferrite-migrate/contracts'
import { type Check, ensure, skip } from './harness.js'
import { everyShard, Reading, reading, STOP_MS } from './reading.js'
import { digestOf, nameOf } from './samples.js'
import { patienceOf, type SourceSubject } from './source-subject.js'
import { within } from './within.js'

/** Without a change for so long its shards stay what they are. */
const IDLE_MS = 300

const withoutWatch = ({ source }: SourceSubject): string | null =>
  source.watch === undefined ? 'the source has no `watch`: its shards stay what they are' : null
const withoutShards = (subject: SourceSubject): string | null =>
  withoutWatch(subject) ?? (subject.addShard === undefined ? 'the subject has no `addShard`' : null)
const withoutOwners = ({ source }: SourceSubject): string | null =>
  source.shards.some(({ owns }) => owns !== undefined) ? null : 'no shard of the source has `owns`'

/** One watching of the shards of a source. */
class Watching {
  private readonly abort = new AbortController()
  private readonly changes: AsyncIterator<ShardChange>
  private readonly patienceMs: number
  /** Asked for, and not yet there. */
  private pending: Promise<IteratorResult<ShardChange>>

  constructor(subject: SourceSubject) {
    const { source } = subject
    if (source.watch === undefined) skip('the source has no `watch`')
    this.patienceMs = patienceOf(subject)
    this.changes = source.watch(this.abort.signal)[Symbol.asyncIterator]()
    this.pending = this.ask()
  }

  private ask(): Promise<IteratorResult<ShardChange>> {
    const asked = this.changes.next()
    // What fails before it is awaited is told by whoever awaits it.
    asked.catch(() => undefined)
    return asked
  }

  /** Reads until a change of this kind. @throws Error when it does not come */
  async until<K extends ShardChange['kind']>(kind: K, what: string): Promise<Extract<ShardChange, { kind: K }>> {
    const is = (change: ShardChange): change is Extract<ShardChange, { kind: K }> => change.kind === kind
    for (;;) {
      const { done, value } = await within(this.pending, this.patienceMs, what)
      ensure(done !== true, `the watching ended, and ${what} had not come`)
      this.pending = this.ask()
      if (is(value)) return value
    }
  }

  /** Whether it goes on although nothing happens. */
  async rest(ms: number): Promise<boolean> {
    const ended = this.pending.then(({ done }) => done === true)
    return within(ended, ms, 'the end').then(
      (over) => !over,
      () => true,
    )
  }

  /** Ends it. @throws Error when it does not end, or fails */
  async stop(): Promise<void> {
    this.abort.abort()
    for (;;) {
      const { done } = await within(this.pending, STOP_MS, 'the end of an aborted watching')
      if (done === true) return
      this.pending = this.ask()
    }
  }

  /** Ends it, whatever it does: of a check that is about something else. */
  leave(): void {
    this.abort.abort()
  }
}

/** Lets a shard come while the source is watched, and works with it. */
async function withNewShard(
  subject: SourceSubject,
  work: (shard: Shard, watching: Watching) => Promise<void>,
): Promise<void> {
  const watching = new Watching(subject)
  try {
    await subject.addShard?.()
    const { shard } = await watching.until('added', 'a shard that was added')
    await work(shard, watching)
  } finally {
    watching.leave()
  }
}

/** What a source does whose shards come and go, or own keys. */
export const sourceShardRules: readonly Check<SourceSubject>[] = [
  {
    rule: 'S26',
    name: 'ends the watching of its shards when it is aborted',
    skips: withoutWatch,
    run: async (subject) => {
      const watching = new Watching(subject)
      const goesOn = await watching.rest(IDLE_MS)
      await watching.stop()
      ensure(goesOn, 'the watching ended by itself')
    },
  },
  {
    rule: 'S26',
    name: 'gives a shard that came since it was opened, which can be read',
    skips: withoutShards,
    run: async (subject) => {
      // Nobody watches yet: between the opening and the watching shards come as well.
      const held = (await subject.addShard?.()) ?? []
      const watching = new Watching(subject)
      try {
        const { shard } = await watching.until('added', 'a shard that was added')
        const ids = subject.source.shards.map(({ id }) => id)
        ensure(shard.id !== '' && !ids.includes(shard.id), `an added shard is called ${shard.id}, as another one is`)
        const records = await reading(
          subject,
          { changes: false },
          async (one) => {
            await one.until((event) => event.kind === 'snapshot-end', 'the end of the snapshot of an added shard')
            return one.records
          },
          shard,
        )
        for (const want of held) {
          const got = records.find(({ db, key }) => db === want.db && key.equals(want.key))
          ensure(
            got !== undefined && digestOf(got) === digestOf(want),
            `an added shard does not give ${nameOf(want.key)}, which it holds`,
          )
        }
      } finally {
        watching.leave()
      }
    },
  },
  {
    rule: 'S26',
    name: 'ends the reading of a shard that went, and says that it did',
    skips: (subject) =>
      withoutShards(subject) ?? (subject.removeShard === undefined ? 'the subject has no `removeShard`' : null),
    run: async (subject) => {
      await withNewShard(subject, async (shard, watching) => {
        const changes = subject.source.capabilities.changes !== 'none'
        const one = new Reading(shard, { changes }, patienceOf(subject))
        try {
          await one.next('the first event of an added shard')
          await subject.removeShard?.(shard.id)
          const removed = await watching.until('removed', 'a shard that was removed')
          ensure(removed.shard === shard.id, `${removed.shard} is said to be gone, and ${shard.id} is`)
          while (!one.ended) await one.next('the end of the reading of a shard that went')
        } finally {
          await one.leave()
        }
      })
    },
  },
  {
    rule: 'S27',
    name: 'has exactly one shard that owns a key, of those that say so',
    skips: withoutOwners,
    run: async ({ source, expected }) => {
      const made = Array.from({ length: 100 }, (_, i) => ({ db: 0, key: Buffer.from(`kit:owned:${i}`) }))
      for (const { db, key } of [...expected, ...made]) {
        const owners = source.shards.filter((shard) => shard.owns?.(db, key) === true).map(({ id }) => id)
        ensure(owners.length === 1, `${nameOf(key)} is owned by ${owners.length} shards: ${owners.join(', ')}`)
      }
    },
  },
  {
    rule: 'S27',
    name: 'brings no key in a snapshot whose shard does not own it',
    skips: withoutOwners,
    run: async (subject) => {
      await everyShard(subject, async (shard) => {
        if (shard.owns === undefined) return
        await reading(
          subject,
          { changes: false },
          async (one) => {
            while ((await one.next('the next event of a snapshot')) !== null);
            for (const { db, key } of one.records)
              ensure(shard.owns?.(db, key) === true, `the shard ${shard.id} gives ${nameOf(key)}, and does not own it`)
          },
          shard,
        )
      })
    },
  },
]
