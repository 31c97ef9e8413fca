import type { DirtyKey, Position } from '@ferrite-migrate/contracts'
import { DirtySet } from '../../records/dirty-set.js'

/** Values that were read together. */
interface Reading {
  readonly position: Position
  readonly names: readonly string[]
}

/**
 * Keys whose commands are not replayed: first until their value is read, then until the stream has passed the place that
 * the value belongs to.
 */
export class PendingKeys extends DirtySet {
  private readonly readIn = new Map<string, Reading>()
  private readings: Reading[] = []

  /** Whether every key has been read. */
  get allRead(): boolean {
    return this.readIn.size === this.size
  }

  unread(): DirtyKey[] {
    if (this.allRead) return []
    return [...this].filter(({ db, key }) => !this.readIn.has(DirtySet.name(db, key)))
  }

  /** The keys' values belong to this place. */
  read(position: Position, keys: readonly DirtyKey[]): void {
    const names = keys.map(({ db, key }) => DirtySet.name(db, key))
    const reading = { position, names }
    for (const name of names) if (this.keys.has(name)) this.readIn.set(name, reading)
    this.readings.push(reading)
  }

  /** What was read of the key no longer counts. */
  again(db: number, key: Buffer): void {
    this.add(db, key)
    this.readIn.delete(DirtySet.name(db, key))
  }

  /** Nothing that was read counts. */
  allAgain(): void {
    this.readIn.clear()
    this.readings = []
  }

  /** The stream has come to a place: `passed` tells whether it lies behind another. */
  reached(passed: (position: Position) => boolean): void {
    while (this.readings.length > 0 && passed(this.readings[0].position)) {
      const reading = this.readings.shift()!
      for (const name of reading.names) {
        if (this.readIn.get(name) !== reading) continue
        this.readIn.delete(name)
        this.drop(name)
      }
    }
  }

  override delete(db: number, key: Buffer): void {
    super.delete(db, key)
    this.readIn.delete(DirtySet.name(db, key))
  }

  override clear(): void {
    super.clear()
    this.allAgain()
  }
}
