import type { ChangeRecord, SnapshotRecord, Target } from '@ferrite-migrate/contracts'
import { commandRecord } from '@ferrite-migrate/protocol'
import { POSTPONE_BELOW_MS, POSTPONED_MS, withEnd } from './later-end.js'

/** What it needs: the target, where ends are put. */
export interface PostponedEndsNeeds {
  readonly target: Target
}

/** No Redis is older than this (2009), and no end that one wrote. */
const FIRST_END_MS = 1.2e12

/**
 * A file of commands holds ends that have passed and commands that renewed the keys afterwards. A target would end them
 * before it comes to these; so near ends are put off by a fixed time, and taken back when the whole file is replayed.
 * The time itself tells which they are: nothing must be remembered, not even by a run that goes on after a crash.
 */
export class PostponedEnds {
  private readonly options: PostponedEndsNeeds

  constructor(options: PostponedEndsNeeds) {
    this.options = options
  }

  /** Records of the base with near ends put off. */
  postpone(records: readonly SnapshotRecord[]): readonly SnapshotRecord[] {
    const limit = Date.now() + POSTPONE_BELOW_MS
    const near = ({ expireAt }: SnapshotRecord): boolean => expireAt > 0 && expireAt < limit
    if (!records.some(near)) return records
    return records.map((record) => (near(record) ? withEnd(record, record.expireAt + POSTPONED_MS) : record))
  }

  /** Gives every key its own end: commands for the target, by its names, in pages. */
  async *restore(): AsyncGenerator<ChangeRecord[]> {
    const latest = Date.now() + POSTPONE_BELOW_MS
    const reader = this.options.target.reader()
    try {
      for await (const page of reader.keys()) {
        const ends = await reader.expiries(
          page[0].db,
          page.map(({ key }) => key),
        )
        const commands: ChangeRecord[] = []
        for (const [i, { db, key }] of page.entries()) {
          const end = ends[i] - POSTPONED_MS
          if (end >= FIRST_END_MS && end <= latest)
            commands.push(commandRecord(db, [Buffer.from('PEXPIREAT'), key, Buffer.from(String(end))], 0))
        }
        if (commands.length > 0) yield commands
      }
    } finally {
      await reader.close()
    }
  }
}
