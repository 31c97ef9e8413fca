import type { ShardEvent } from '@ferrite-migrate/core'

/** What is kept of a worker's counts, by shard and epoch. */
export interface KeptCounts {
  readonly counts: Extract<ShardEvent, { kind: 'counted' }>['counts']
}
