import type { Position, Shard } from '@ferrite-migrate/contracts'

/** True when `position` of the shard is not before `mark`. */
export function covers(shard: Pick<Shard, 'covers'>, position: Position, mark: Position): boolean {
  return shard.covers?.(position, mark) ?? position === mark
}

/** Batches become durable in any order; a position only when everything before it is. */
export class PositionQueue {
  private readonly waiting: { position: Position | undefined; done: boolean }[] = []
  private readonly durable: (position: Position) => void

  constructor(durable: (position: Position) => void) {
    this.durable = durable
  }

  /** Enters a batch in the order of reading; call the result when it is durable. */
  enter(position: Position | undefined): () => void {
    const entry = { position, done: false }
    this.waiting.push(entry)
    return () => {
      entry.done = true
      let reached: Position | undefined
      while (this.waiting[0]?.done) reached = this.waiting.shift()?.position ?? reached
      if (reached !== undefined) this.durable(reached)
    }
  }

  clear(): void {
    this.waiting.length = 0
  }
}
