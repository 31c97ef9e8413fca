import type { DirtyKey } from '@ferrite-migrate/contracts'

/** A key, and when it ends at the source as far as is known: absolute ms, 0 = unknown. */
export interface MarkedKey extends DirtyKey {
  readonly endsAt: number
}

/** Keys whose value must be read again. Names are Latin-1 text inside, so that any byte is kept. */
export class DirtySet {
  private readonly keys = new Map<string, MarkedKey>()

  private static name(db: number, key: Buffer): string {
    return `${db}:${key.toString('latin1')}`
  }

  get size(): number {
    return this.keys.size
  }

  /** Copies the key, which may be a view. A later end replaces an earlier one. */
  add(db: number, key: Buffer, endsAt = 0): void {
    const name = DirtySet.name(db, key)
    const known = this.keys.get(name)
    if (known === undefined) this.keys.set(name, { db, key: Buffer.from(key), endsAt })
    else if (endsAt !== 0) this.keys.set(name, { ...known, endsAt })
  }

  has(db: number, key: Buffer): boolean {
    return this.keys.size > 0 && this.keys.has(DirtySet.name(db, key))
  }

  get(db: number, key: Buffer): MarkedKey | undefined {
    return this.keys.size === 0 ? undefined : this.keys.get(DirtySet.name(db, key))
  }

  delete(db: number, key: Buffer): void {
    this.keys.delete(DirtySet.name(db, key))
  }

  clear(): void {
    this.keys.clear()
  }

  /** Takes up to `most` keys of one database out. */
  take(most: number): MarkedKey[] {
    const taken: MarkedKey[] = []
    for (const [name, entry] of this.keys) {
      if (taken.length >= most) break
      if (taken.length > 0 && entry.db !== taken[0].db) continue
      taken.push(entry)
      this.keys.delete(name)
    }
    return taken
  }

  [Symbol.iterator](): IterableIterator<MarkedKey> {
    return this.keys.values()
  }
}
