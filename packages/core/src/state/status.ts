/** Phases as users see them. */
export type Phase =
  | 'PREFLIGHT'
  | 'INITIAL_SYNC'
  | 'LIVE_SYNC'
  | 'VERIFYING'
  | 'CUTOVER'
  /** Incremental mode, between two passes. */
  | 'WAITING'
  /** Asked to stop: what was read is being written. */
  | 'STOPPING'
  | 'ROLLING_BACK'
  | RunState
export type RunState = 'RUNNING' | 'COMPLETED' | 'FAILED' | 'INTERRUPTED' | 'ROLLED_BACK'

/** Where a migration stands; stored every second, printed by `status` and the live display. Stable under --json. */
export interface MigrationStatus {
  readonly id: string
  readonly state: RunState
  readonly phase: Phase
  readonly source: string
  readonly target: string
  readonly mode: string
  readonly capture: string
  readonly apply: string
  readonly startedAt: number
  readonly updatedAt: number
  readonly keysDone: number
  readonly keysTotal: number | null
  /** Of those read: not taken by the filter. Older states lack the words from here to `valuesPassed`. */
  readonly keysFiltered: number
  /** Of those read: kept out by a rule or script. */
  readonly keysLeftOut: number
  /** Of those read: right at the target already. */
  readonly keysKept: number
  /** Values that went on as they were because a rule could not change them. */
  readonly valuesPassed: number
  readonly bytesDone: number
  readonly bytesTotal: number | null
  readonly changesApplied: number
  readonly changesFiltered: number
  /**
   * Commands and transactions whose keys are in several slots of a cluster that is the target: there they are one a slot, or their keys
   * were read again. Older states lack it.
   */
  readonly changesSplit?: number
  /** Bytes of the change stream that are applied; `bytesDone` are those of the snapshot. */
  readonly changeBytes: number
  readonly keysWritten: number
  readonly keysSkipped: number
  readonly keysDeleted: number
  readonly keysFailed: number
  /** Keys or changes per second, over the last seconds. */
  readonly rate: number
  readonly lagKeys: number | null
  readonly lagBytes: number | null
  readonly lagMs: number | null
  readonly spoolBytes: number
  /** The lag is below what a cutover would start at, or a second. */
  readonly inSync: boolean
  /** Until the initial sync is done or the lag is gone; null = unknown. */
  readonly etaMs: number | null
  /** Somebody paused it. */
  readonly paused: boolean
  /** When a cutover is scheduled, ms. */
  readonly cutoverAt: number | null
  /** The source writes faster than the target takes. */
  readonly diverging: boolean
  readonly error: { readonly code: string; readonly message: string; readonly hint: string } | null
}
