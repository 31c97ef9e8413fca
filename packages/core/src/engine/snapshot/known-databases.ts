/**
 * Databases of the source that something came from. In no other one at the target can anything be this migration's, whoever has written
 * there since: nothing of it is deleted for having vanished at the source.
 */
export class KnownDatabases {
  private readonly known: Set<number>
  private readonly onNew: (all: readonly number[]) => void
  private last = -1

  /** @param onNew is told of all of them when there is one more: the run that goes on has to know them */
  constructor(known: readonly number[], onNew: (all: readonly number[]) => void) {
    this.known = new Set(known)
    this.onNew = onNew
  }

  note(records: readonly { readonly db: number }[]): void {
    for (const { db } of records) {
      // Most of a batch is of one.
      if (db === this.last) continue
      this.last = db
      if (this.known.has(db)) continue
      this.known.add(db)
      this.onNew([...this.known])
    }
  }

  has(db: number): boolean {
    return this.known.has(db)
  }
}
