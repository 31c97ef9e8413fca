import type { Lag } from '@ferrite-migrate/contracts'
import type { ShardEvent, ShardPhase } from '../engine/events/shard-event.js'

/** What one shard has told so far. */
export class ShardCounts {
  /** Null = it has not begun. */
  phase: ShardPhase | null = null
  fullSyncs = 0
  partialSyncs = 0
  sweeps = 0
  checkpoints = 0
  /** ms; null = none yet. */
  checkpointAt: number | null = null
  /** Times that another worker went on with it. */
  takeovers = 0
  /** Who runs it, on another machine perhaps; null = the process of the migration. */
  place: { readonly worker: string; readonly host: string } | null = null
}

/** Counts what shards tell. */
export class ShardTally {
  readonly shards = new Map<string, ShardCounts>()
  /** How far each is behind, as the last look told. */
  readonly lags = new Map<string, Lag>()
  /** How often something was said, by its type. */
  readonly notes = new Map<string, number>()

  /** These are read. */
  begin(shards: Iterable<string>): void {
    for (const shard of shards) this.of(shard)
  }

  hear(event: ShardEvent): void {
    switch (event.kind) {
      case 'synced':
        if (event.mode === 'full') this.of(event.shard).fullSyncs++
        else this.of(event.shard).partialSyncs++
        return
      case 'joined':
        this.of(event.shard)
        return
      case 'left':
        this.shards.delete(event.shard)
        this.lags.delete(event.shard)
        return
      case 'phase':
        this.of(event.shard).phase = event.phase
        return
      case 'swept':
        this.of(event.shard).sweeps++
        return
      case 'position': {
        const counts = this.of(event.shard)
        counts.checkpoints++
        counts.checkpointAt = Date.now()
        return
      }
      case 'placed':
        this.of(event.shard).place = { worker: event.worker, host: event.host }
        return
      case 'note':
        if (event.type === 'worker') this.of(event.shard).takeovers++
        this.notes.set(event.type, (this.notes.get(event.type) ?? 0) + 1)
    }
  }

  private of(shard: string): ShardCounts {
    let counts = this.shards.get(shard)
    if (counts === undefined) {
      counts = new ShardCounts()
      this.shards.set(shard, counts)
    }
    return counts
  }
}
