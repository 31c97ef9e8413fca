import type { DirtyKey } from '@ferrite-migrate/contracts'

/** Keys whose value must be read again. Names are Latin-1 text inside, so that any byte is kept. */
export class DirtySet {
  protected readonly keys = new Map<string, DirtyKey>()
  private listed: readonly DirtyKey[] | null = null
  private added = 0

  protected static name(db: number, key: Buffer): string {
    return `${db}:${key.toString('latin1')}`
  }

  /** How many keys have ever come: whoever compares two of these knows whether some are new. */
  get additions(): number {
    return this.added
  }

  get size(): number {
    return this.keys.size
  }

  /** Copies the key, which may be a view. */
  add(db: number, key: Buffer): void {
    const name = DirtySet.name(db, key)
    if (this.keys.has(name)) return
    this.keys.set(name, { db, key: Buffer.from(key) })
    this.listed = null
    this.added++
  }

  addAll(keys: readonly DirtyKey[]): void {
    for (const { db, key } of keys) this.add(db, key)
  }

  has(db: number, key: Buffer): boolean {
    return this.keys.size > 0 && this.keys.has(DirtySet.name(db, key))
  }

  delete(db: number, key: Buffer): void {
    this.drop(DirtySet.name(db, key))
  }

  clear(): void {
    this.keys.clear()
    this.listed = null
  }

  /** Takes up to `most` keys of one database out. */
  take(most: number): DirtyKey[] {
    const taken: DirtyKey[] = []
    for (const [name, entry] of this.keys) {
      if (taken.length >= most) break
      if (taken.length > 0 && entry.db !== taken[0].db) continue
      taken.push(entry)
      this.drop(name)
    }
    return taken
  }

  /** All of them, made once for as long as none comes or goes; not to be changed. */
  list(): readonly DirtyKey[] {
    this.listed ??= [...this.keys.values()]
    return this.listed
  }

  protected drop(name: string): void {
    if (this.keys.delete(name)) this.listed = null
  }

  [Symbol.iterator](): IterableIterator<DirtyKey> {
    return this.keys.values()
  }
}
