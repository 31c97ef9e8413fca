import type { FingerprintSet } from '@ferrite-migrate/protocol'

/** What the snapshot of one shard held that has just come to its end. */
export interface EndedSnapshot {
  /**
   * True for keys of the target, by their names there, that the source no longer has, as far as that is known: of all shards
   * together when all have read everything, of one alone only what it had itself before.
   */
  isGone(db: number, key: Buffer): boolean
}

/**
 * The names that the snapshots of all shards of a source hold. A target holds the keys of all of them: what one shard has not
 * seen may be another's, so that nothing is gone before every shard has ended.
 */
export class SeenKeys {
  private readonly shards: Set<string>
  private readonly last = new Map<string, FingerprintSet>()
  private readonly ended = new Set<string>()
  /** What no snapshot held any more was deleted once. */
  private settled = false

  /** @param shards their names */
  constructor(shards: Iterable<string>) {
    this.shards = new Set(shards)
  }

  /** How many shards there are now. */
  get count(): number {
    return this.shards.size
  }

  /** A shard came: until it has been read nobody knows what is gone. */
  join(shard: string): void {
    this.shards.add(shard)
  }

  /** A shard went; what it had is another's now, and is known as seen. */
  leave(shard: string): void {
    this.shards.delete(shard)
  }

  /** A snapshot of this shard held these and no others; null = another shard has not ended yet, so nobody knows what is gone. */
  end(shard: string, seen: FingerprintSet): EndedSnapshot | null {
    const before = this.last.get(shard)
    const together = this.shards.size === 1 || !this.ended.has(shard)
    this.last.set(shard, seen)
    this.ended.add(shard)
    if (together) {
      for (const one of this.shards) if (!this.ended.has(one)) return null
      return { isGone: (db, key) => !this.has(db, key) }
    }
    // The others have gone on since: what they got by changes is in no snapshot.
    return { isGone: (db, key) => (before?.has(db, key) ?? false) && !seen.has(db, key) }
  }

  /** Whether what a shard gets by changes must be noted: it has ended, and others that have not may still ask what is gone. */
  isNoting(shard: string): boolean {
    return !this.settled && this.shards.size > 1 && this.ended.has(shard)
  }

  /** A key, by its name at the target, that a change of the shard is about to write. */
  note(shard: string, db: number, key: Buffer): void {
    this.last.get(shard)?.add(db, key)
  }

  /** Nobody asks any more what is gone of all shards together. */
  settle(): void {
    this.settled = true
  }

  /** True for what any shard had when it was last read. */
  has(db: number, key: Buffer): boolean {
    for (const seen of this.last.values()) if (seen.has(db, key)) return true
    return false
  }
}
