import type { ChangeRecord, DirtyKey } from '@ferrite-migrate/contracts'
import { commandRecord, commandSpecOf, touchedKeys } from '@ferrite-migrate/protocol'

/** What becomes of the commands of one event. */
export interface Routed {
  /** To be replayed, in order. */
  readonly forward: readonly ChangeRecord[]
  /** To be read again. */
  readonly dirty: readonly DirtyKey[]
  /** Databases to empty (under the filter) before anything of `forward`; null = none, [] = all. */
  readonly flush: readonly number[] | null
  /** The place of the last of these flushes. */
  readonly flushedAt?: number | undefined
  /** Databases whose contents were exchanged in a way that cannot be replayed. */
  readonly swapped: readonly [number, number] | null
  /** Commands left out because nothing can carry them, by name. */
  readonly ignored: readonly string[]
  /** Commands that are not known here: what they write to has to be asked. */
  readonly unknown: readonly ChangeRecord[]
  /** Commands that touch nothing the filter takes. */
  readonly filtered: number
}

/** The same while it is being found out, command by command. */
export class RoutedChanges implements Routed {
  readonly forward: ChangeRecord[] = []
  readonly dirty: DirtyKey[] = []
  readonly ignored: string[] = []
  readonly unknown: ChangeRecord[] = []
  flush: readonly number[] | null = null
  flushedAt: number | undefined
  swapped: readonly [number, number] | null = null
  filtered = 0

  /**
   * Databases are emptied after what came so far: what this event wrote there is deleted by name, and what the target holds is
   * left to whoever empties it.
   * @param dbs [] = all
   * @param at the place of the command that empties them: what is deleted stands for it
   */
  empty(dbs: readonly number[], at?: number): void {
    const { forward, flush } = this
    for (const earlier of forward.splice(0)) {
      if (dbs.length > 0 && !dbs.includes(earlier.db)) forward.push(earlier)
      else
        for (const { db, key } of touchedKeys(commandSpecOf(earlier.name), earlier.argv, earlier.db))
          forward.push(commandRecord(db, [Buffer.from('DEL'), key], 0, at))
    }
    this.flushedAt = at
    this.flush = flush === null ? dbs : dbs.length === 0 || flush.length === 0 ? [] : [...flush, ...dbs]
  }
}
