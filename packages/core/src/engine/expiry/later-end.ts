import type { SnapshotRecord } from '@ferrite-migrate/contracts'
import { type ChangeRecord, PackedRecord } from '@ferrite-migrate/contracts'
import { commandRecord } from '@ferrite-migrate/protocol'

/** Added to an end that is put off, in ms: no other key ends in the year 2260 or after, and it keeps its 13 digits. */
export const POSTPONED_MS = 8e12

/** Ends sooner than this are put off: the import of a file may take as long. */
export const POSTPONE_BELOW_MS = 24 * 3_600_000

/** The record with another end; its value is shared. */
export function withEnd(record: SnapshotRecord, expireAt: number): SnapshotRecord {
  if (!(record instanceof PackedRecord)) return { db: record.db, key: record.key, value: record.value, expireAt }
  return record.moved(record.db, expireAt, record.keyData, record.keyStart, record.keyEnd)
}

/** Gives a key an end, 0 = none. */
export function endCommand(db: number, key: Buffer, end: number): ChangeRecord {
  const argv = end === 0 ? [Buffer.from('PERSIST'), key] : [Buffer.from('PEXPIREAT'), key, Buffer.from(String(end))]
  return commandRecord(db, argv, 0)
}

/** How much longer a held key lives, at least; a run settles sooner. */
export const HELD_FOR_MS = 24 * 3_600_000

/** Keys held at most; more would cost too much memory, and end when they end. */
export const HELD_KEYS = 200_000

/** Keys that end sooner than this could end at a slow target before the command arrives that renews them. */
const HOLD_BELOW_MS = 60_000
/** With nothing held, a key that ends sooner than this may have ended before its command arrives. */
const SOON_MS = 1000

/**
 * What becomes of near ends in the stream of one shard: `hold` them until the run settles, `read` their keys again,
 * `postpone` them to the end of a file, or `keep` them.
 */
export class LaterEnds {
  how: 'hold' | 'read' | 'postpone' | 'keep'

  constructor(how: LaterEnds['how']) {
    this.how = how
  }

  /** Nothing is held from now on. */
  stopHolding(readable: boolean): void {
    if (this.how === 'hold') this.how = readable ? 'read' : 'keep'
  }

  /**
   * The end that the target is given, ms; null = the key must be read.
   * @param deadline its end at the source, ms
   * @param held keys that are held by now
   */
  endOf(deadline: number, held: number): number | null {
    const now = Date.now()
    switch (this.how) {
      case 'postpone':
        return deadline < now + POSTPONE_BELOW_MS ? deadline + POSTPONED_MS : deadline
      case 'read':
        return deadline < now + SOON_MS ? null : deadline
      case 'keep':
        return deadline
      case 'hold':
        return deadline < now + HOLD_BELOW_MS && held < HELD_KEYS ? now + HELD_FOR_MS : deadline
    }
  }
}
