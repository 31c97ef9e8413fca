import type { Difference } from '../records/difference.js'

/** What came of comparing the keys of some shards once, where these are run: plain JSON. */
export interface ComparedPart {
  readonly compared: number
  /** Of these: left out by a rule or script. */
  readonly leftOut: number
  /** While data changes a difference is only a suspicion. */
  readonly differences: readonly Difference[]
  /** False = it was ended before, or there are more differences than are named. */
  readonly complete: boolean
  /** Slots of the source whose keys these were; null = it has none. */
  readonly slots: number | null
}
