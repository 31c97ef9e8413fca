import type { Position, Shard, SnapshotRecord, SourceEvent } from '@ferrite-migrate/contracts'
import { copiedEvent } from './copied-event.js'
import { patienceOf, type SourceSubject } from './source-subject.js'
import { within } from './within.js'

/** How long a reading may take to end when it is told to. */
export const STOP_MS = 5000

export interface ReadingOptions {
  readonly changes: boolean
  readonly from?: Position | undefined
}

/** One reading of a shard. Its events are copied and released as they come. */
export class Reading {
  /** What has come so far. */
  readonly events: SourceEvent[] = []
  ended = false
  private readonly abort = new AbortController()
  private readonly iterator: AsyncIterator<SourceEvent>
  private readonly patienceMs: number
  /** Asked for, and not yet there. */
  private pending: Promise<IteratorResult<SourceEvent>> | null = null

  constructor(shard: Shard, { changes, from }: ReadingOptions, patienceMs: number) {
    this.patienceMs = patienceMs
    const request = { signal: this.abort.signal, changes, ...(from === undefined ? {} : { from }) }
    this.iterator = shard.read(request)[Symbol.asyncIterator]()
  }

  /** The records of its snapshot so far. */
  get records(): readonly SnapshotRecord[] {
    return this.events.flatMap((event) => (event.kind === 'snapshot' ? event.records : []))
  }

  /** The next event; null at its end. @throws Error when nothing comes in time */
  async next(what: string, ms = this.patienceMs): Promise<SourceEvent | null> {
    this.pending ??= this.iterator.next()
    const result = await within(this.pending, ms, what)
    this.pending = null
    if (result.done === true) {
      this.ended = true
      return null
    }
    const event = await copiedEvent(result.value)
    if (result.value.kind === 'snapshot' || result.value.kind === 'changes') result.value.release?.()
    this.events.push(event)
    return event
  }

  /** Reads until an event is the one that is looked for. @throws Error when it does not come */
  async until(wanted: (event: SourceEvent) => boolean, what: string): Promise<SourceEvent> {
    const deadline = Date.now() + this.patienceMs
    for (;;) {
      const event = await this.next(what, Math.max(1, deadline - Date.now()))
      if (event === null) throw new Error(`the reading ended, and ${what} had not come`)
      if (wanted(event)) return event
    }
  }

  /** Reads to its end, or until nothing has come for so long. */
  async rest(quietMs: number): Promise<void> {
    const deadline = Date.now() + quietMs
    while (!this.ended) {
      const left = deadline - Date.now()
      if (left <= 0) return
      const event = await this.next('an event', left).catch((error: unknown) => {
        // That nothing comes is what is waited for; anything else went wrong.
        if (this.pending === null) throw error
        return null
      })
      if (event === null && !this.ended) return
    }
  }

  /** Ends it, and reads what still comes. @throws Error when it does not end */
  async stop(): Promise<void> {
    if (this.abort.signal.aborted) return
    this.abort.abort()
    const deadline = Date.now() + STOP_MS
    while (!this.ended) await this.next('the end of an aborted reading', Math.max(1, deadline - Date.now()))
  }

  /** Ends it, whatever it does: of a check that is about something else. */
  async leave(): Promise<void> {
    await this.stop().catch(() => undefined)
  }
}

/** Works with a reading of a source's first shard, and ends it. */
export async function reading<T>(
  subject: SourceSubject,
  options: ReadingOptions,
  work: (reading: Reading) => Promise<T>,
  shard: Shard = subject.source.shards[0],
): Promise<T> {
  const one = new Reading(shard, options, patienceOf(subject))
  try {
    return await work(one)
  } finally {
    await one.leave()
  }
}

/** Works with all shards at once: one may wait until the others are read as well. */
export function everyShard<T>({ source }: SourceSubject, work: (shard: Shard) => Promise<T>): Promise<T[]> {
  return Promise.all(source.shards.map(work))
}

/** The whole snapshot of all shards. */
export async function snapshotOf(
  subject: SourceSubject,
): Promise<{ events: SourceEvent[]; records: SnapshotRecord[] }> {
  const events = (
    await everyShard(subject, async (shard) =>
      reading(
        subject,
        { changes: false },
        async (one) => {
          while ((await one.next('the next event of a snapshot')) !== null);
          return one.events
        },
        shard,
      ),
    )
  ).flat()
  return { events, records: events.flatMap((event) => (event.kind === 'snapshot' ? event.records : [])) }
}
