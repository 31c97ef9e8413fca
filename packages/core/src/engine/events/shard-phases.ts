import type { ShardPhase } from './shard-event.js'

/** The phase of all shards together: the target follows the source only when every shard does. */
export class ShardPhases {
  private readonly shards: Set<string>
  private readonly live = new Set<string>()

  /** @param shards their names */
  constructor(shards: Iterable<string>) {
    this.shards = new Set(shards)
  }

  /** A shard entered a phase; gives the one that all are in by now, null = that has not changed. */
  enter(shard: string, phase: ShardPhase): ShardPhase | null {
    if (phase === 'INITIAL_SYNC') {
      this.live.delete(shard)
      return phase
    }
    this.live.add(shard)
    return this.common()
  }

  /** A shard came, and has not been read yet. */
  join(shard: string): void {
    this.shards.add(shard)
  }

  /** A shard went: nobody waits for it any more. */
  leave(shard: string): ShardPhase | null {
    this.shards.delete(shard)
    this.live.delete(shard)
    return this.shards.size === 0 ? null : this.common()
  }

  private common(): ShardPhase | null {
    for (const shard of this.shards) if (!this.live.has(shard)) return null
    return 'LIVE_SYNC'
  }
}
