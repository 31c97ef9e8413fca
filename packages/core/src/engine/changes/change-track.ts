import type { ChangeRecord, DirtyKey } from '@ferrite-migrate/contracts'
import { commandSpecOf, touchedKeys } from '@ferrite-migrate/protocol'
import { DirtySet } from '../../records/dirty-set.js'

/** More changed keys than this are not remembered one by one. */
const KEYS = 200_000

/** Remembers which keys changed since it was started, so that a verification can look at these again. */
export class ChangeTrack {
  /** Too much changed, or in a way that names no keys: only looking at everything again is certain. */
  overflow = false
  /** The source began from its start meanwhile, so that nobody can tell what changed. */
  resynced = false
  private readonly changed = new DirtySet()

  add(record: ChangeRecord): void {
    const spec = commandSpecOf(record.name)
    if (spec.kind === 'write') this.addKeys(touchedKeys(spec, record.argv, record.db))
    else if (spec.kind === 'flush' || spec.kind === 'swapdb') this.overflow = true
  }

  addKeys(keys: readonly DirtyKey[]): void {
    for (const { db, key } of keys) {
      // A key that changes again moves to the end: the last ones are the newest.
      this.changed.delete(db, key)
      this.changed.add(db, key)
    }
    if (this.changed.size > KEYS) {
      this.overflow = true
      this.changed.clear()
    }
  }

  get size(): number {
    return this.changed.size
  }

  has(db: number, key: Buffer): boolean {
    return this.changed.has(db, key)
  }

  /** The newest `most` keys. */
  keys(most = Number.POSITIVE_INFINITY): DirtyKey[] {
    const all = [...this.changed]
    return all.length > most ? all.slice(-most) : all
  }
}
