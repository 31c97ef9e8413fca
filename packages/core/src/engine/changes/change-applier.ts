import type { ChangesEvent, DirtyKey, KeyReader } from '@ferrite-migrate/contracts'
import type { BothEnds } from './stream-stop.js'

/** How the changes of one shard get to the target: as the commands they were, or as the values that came of them. */
export interface ChangeApplier {
  /**
   * Brings one event to the target.
   * @returns false = everything must be read again from the start
   */
  apply(event: ChangesEvent): Promise<boolean>
  /** Nothing was applied for a while, or the target came back: what ended there meanwhile is unknown. */
  late(): void
  /** All that the target holds was just written; `covered` = no key can have ended there meanwhile. */
  fresh(covered: boolean): void
  /** From now on held ends are given back as they come to hand. */
  settle(): void
  /** The stream is over: nothing stays unread. */
  finish(): Promise<void>
  /** The target must get the value that the source has now. */
  repair(keys: readonly DirtyKey[]): Promise<void>
  /** What both ends hold at one place of the stream; null where that cannot be had. */
  readBoth(keys: readonly DirtyKey[], target: KeyReader): Promise<BothEnds | null>
  close(): Promise<void>
}
