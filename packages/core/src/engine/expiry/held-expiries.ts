import type { ChangeRecord, DirtyKey, KeyReader, SnapshotRecord, Target } from '@ferrite-migrate/contracts'
import { DirtySet } from '../../records/dirty-set.js'
import type { RecordTransform } from '../../transform/record-transform.js'
import { endCommand, HELD_FOR_MS, HELD_KEYS, withEnd } from './later-end.js'

/** The target, the names there, and what a former process may have held. */
export interface HeldExpiriesNeeds {
  readonly target: Target
  readonly transform: RecordTransform
  readonly resumed: { readonly held: { readonly from: number; readonly to: number } | null } | null
  onHeld(): void
}

/** Keys that end sooner than this are held during the initial sync. */
const HOLD_BELOW_MS = 15 * 60_000
const RELEASED_AT_ONCE = 1000
const MOMENT_MS = 2000

export interface Released {
  readonly commands: readonly ChangeRecord[]
  /** Held keys that the source has no more. */
  readonly gone: readonly DirtyKey[]
}

/**
 * Keys written with a later expiry than their own. A target expires keys by itself while the source's later EXPIRE still
 * waits in the stream: so keys that end soon get more time, and their own end when the migration settles.
 */
export class HeldExpiries {
  readonly keys = new DirtySet()
  private readonly options: HeldExpiriesNeeds
  private readonly source: () => KeyReader
  private noted = false

  constructor(options: HeldExpiriesNeeds, source: () => KeyReader) {
    this.options = options
    this.source = source
  }

  /** Makes it known that expiries are held, for a run that may have to find them again. */
  note(): void {
    if (this.noted || this.keys.size === 0) return
    this.noted = true
    this.options.onHeld()
  }

  /** Whether no key can have ended at the target for want of more time while a snapshot of this length was copied. */
  cover(ms: number): boolean {
    return ms < HOLD_BELOW_MS && this.keys.size < HELD_KEYS
  }

  hold(records: readonly SnapshotRecord[]): readonly SnapshotRecord[] {
    const limit = Date.now() + HOLD_BELOW_MS
    if (!records.some((record) => record.expireAt > 0 && record.expireAt < limit)) return records
    const held = records.map((record) => {
      if (record.expireAt === 0 || record.expireAt >= limit || this.keys.size >= HELD_KEYS) return record
      this.keys.add(record.db, record.key)
      return withEnd(record, Date.now() + HELD_FOR_MS)
    })
    this.note()
    return held
  }

  /**
   * Values that were read while the stream goes on: commands on their way may renew keys that end soon, so that these get
   * more time as well, or, when nothing is held any more, a moment. The source's deletion ends them.
   */
  stretch(records: readonly (SnapshotRecord | null)[], how: 'hold' | 'for a moment'): (SnapshotRecord | null)[] {
    const least = Date.now() + MOMENT_MS
    return records.map((record) => {
      if (record === null || record.expireAt === 0) return record
      if (how === 'hold') return this.hold([record])[0]
      return record.expireAt < least ? withEnd(record, least) : record
    })
  }

  /** A process that died knew which expiries it had held back; whatever ends about a day after it did may be one. */
  async find(): Promise<void> {
    const held = this.options.resumed?.held
    if (!held) return
    const { target, transform } = this.options
    const reader = target.reader()
    const inside = (end: number): boolean => end >= held.from + HELD_FOR_MS && end <= held.to + HELD_FOR_MS
    try {
      if (!transform.renames) {
        for await (const page of reader.keys()) {
          const ends = await reader.expiries(
            page[0].db,
            page.map(({ key }) => key),
          )
          for (const [i, { db, key }] of page.entries()) if (inside(ends[i])) this.keys.add(db, key)
        }
      }
      // Names at the target do not tell those at the source: so it is asked from there.
      else
        for await (const page of this.source().keys())
          for (const [i, name] of (await transform.names(page)).entries()) {
            if (name === null) continue
            const [end] = await reader.expiries(name.db, [name.key])
            if (inside(end)) this.keys.add(page[i].db, page[i].key)
          }
    } finally {
      await reader.close()
    }
    this.note()
  }

  /**
   * Takes some held keys out and gives the commands for the expiry that they have at the source by now. Their values are
   * right already; changes of expiry that still wait in the stream come after and say the same. What is gone at the source
   * by now may be gone at once only where commands that used it have passed: the caller reads it at a position.
   */
  async release(): Promise<Released> {
    const keys = this.keys.take(RELEASED_AT_ONCE)
    if (keys.length === 0) return { commands: [], gone: [] }
    const ends = await this.source().expiries(
      keys[0].db,
      keys.map(({ key }) => key),
    )
    const commands: ChangeRecord[] = []
    const gone: DirtyKey[] = []
    for (const [i, { db, key }] of keys.entries())
      if (ends[i] === -1) gone.push({ db, key })
      else commands.push(endCommand(db, key, ends[i]))
    return { commands, gone }
  }
}
