import type { Position } from '@ferrite-migrate/contracts'
import type { ProgressCounts } from '../progress/progress-counts.js'

/** The two phases that a shard passes. */
export type ShardPhase = 'INITIAL_SYNC' | 'LIVE_SYNC'

/**
 * What a shard tells while it runs: plain JSON, so that it may run in another process. Keys in texts are printable. The
 * schema is `schema/shard-event.schema.json` of this package.
 */
export type ShardEvent =
  /** How its source answered: with everything, or from where it was asked. */
  | { readonly kind: 'synced'; readonly shard: string; readonly mode: 'full' | 'partial' }
  /** It came after the source was opened. */
  | { readonly kind: 'joined'; readonly shard: string }
  /** It is no shard of the source any more. */
  | { readonly kind: 'left'; readonly shard: string }
  | { readonly kind: 'phase'; readonly shard: string; readonly phase: ShardPhase }
  /** A worker of some machine has it from now on. */
  | { readonly kind: 'placed'; readonly shard: string; readonly worker: string; readonly host: string }
  /** Everything up to here is durable at the target. */
  | { readonly kind: 'position'; readonly shard: string; readonly position: Position }
  /** Everything was compared once more while changes were followed. */
  | { readonly kind: 'swept'; readonly shard: string }
  /** The first expiry is held back: whoever goes on must find such again. */
  | { readonly kind: 'held'; readonly shard: string }
  | { readonly kind: 'note'; readonly shard: string; readonly type: string; readonly text: string }
  /** What a process has counted so far, of all its shards; told now and then by one that runs elsewhere. */
  | { readonly kind: 'counted'; readonly counts: ProgressCounts }
