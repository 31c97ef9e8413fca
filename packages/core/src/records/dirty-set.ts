import type { DirtyKey } from '@ferrite-migrate/contracts'

/** Keys whose value must be read again. Names are Latin-1 text inside, so that any byte is kept. */
export class DirtySet {
  protected readonly keys = new Map<string, DirtyKey>()

  protected static name(db: number, key: Buffer): string {
    return `${db}:${key.toString('latin1')}`
  }

  get size(): number {
    return this.keys.size
  }

  /** Copies the key, which may be a view. */
  add(db: number, key: Buffer): void {
    const name = DirtySet.name(db, key)
    if (!this.keys.has(name)) this.keys.set(name, { db, key: Buffer.from(key) })
  }

  addAll(keys: readonly DirtyKey[]): void {
    for (const { db, key } of keys) this.add(db, key)
  }

  has(db: number, key: Buffer): boolean {
    return this.keys.size > 0 && this.keys.has(DirtySet.name(db, key))
  }

  delete(db: number, key: Buffer): void {
    this.keys.delete(DirtySet.name(db, key))
  }

  clear(): void {
    this.keys.clear()
  }

  /** Takes up to `most` keys of one database out. */
  take(most: number): DirtyKey[] {
    const taken: DirtyKey[] = []
    for (const [name, entry] of this.keys) {
      if (taken.length >= most) break
      if (taken.length > 0 && entry.db !== taken[0].db) continue
      taken.push(entry)
      this.keys.delete(name)
    }
    return taken
  }

  [Symbol.iterator](): IterableIterator<DirtyKey> {
    return this.keys.values()
  }
}
