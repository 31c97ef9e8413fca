import type { ElementDifference } from './deep-difference.js'

export type DifferenceKind = 'missing-target' | 'missing-source' | 'type' | 'value' | 'ttl' | 'unreadable'

/** One key whose two ends are not the same. */
export interface Difference {
  readonly kind: DifferenceKind
  readonly db: number
  readonly key: string
  /** All bytes of the key. */
  readonly keyBase64: string
  readonly detail: string
  /** The first parts of the value that differ, of the first hundred such keys; `partCount` counts all. */
  readonly parts?: readonly ElementDifference[]
  readonly partCount?: number
}
