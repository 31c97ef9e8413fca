import type { ShardPhase } from './shard-event.js'

/** The phase of all shards together: the target follows the source only when every shard does. */
export class ShardPhases {
  private readonly shards: number
  private readonly live = new Set<string>()

  /** @param shards how many there are */
  constructor(shards: number) {
    this.shards = shards
  }

  /** A shard entered a phase; gives the one that all are in by now, null = that has not changed. */
  enter(shard: string, phase: ShardPhase): ShardPhase | null {
    if (phase === 'INITIAL_SYNC') {
      this.live.delete(shard)
      return phase
    }
    this.live.add(shard)
    return this.live.size === this.shards ? phase : null
  }
}
