import type { DirtyKey } from '@ferrite-migrate/contracts'

/** Names that are kept of one slot; of more of them all keys of the slot are looked at. */
const NAMES = 100_000

/** Keys of one slot whose commands were left out. */
class SlotDoubts {
  readonly keys = new Map<string, DirtyKey>()
  /** They are more than are kept: everything of the slot is in doubt, and what is no longer there too. */
  whole = false

  add(keys: readonly DirtyKey[]): void {
    if (this.keys.size >= NAMES) {
      this.whole = true
      return
    }
    for (const one of keys) this.keys.set(`${one.db} ${one.key.toString('latin1')}`, one)
  }
}

/** What of a slot is to be read again. */
export interface Doubts {
  readonly keys: readonly DirtyKey[]
  readonly whole: boolean
}

/** Keys whose commands were left out because their slot was under way: whoever has it in the end reads them again. */
export class DoubtfulKeys {
  private readonly slots = new Map<number, SlotDoubts>()
  /** Asked for with each event. */
  private count = 0

  add(slot: number, keys: readonly DirtyKey[]): void {
    let doubts = this.slots.get(slot)
    if (doubts === undefined) {
      doubts = new SlotDoubts()
      this.slots.set(slot, doubts)
    }
    const before = doubts.keys.size
    doubts.add(keys)
    this.count += doubts.keys.size - before
  }

  has(slot: number): boolean {
    return this.slots.has(slot)
  }

  /** Slots with such keys. */
  get numbers(): number[] {
    return [...this.slots.keys()]
  }

  /** How many keys there are. */
  get size(): number {
    return this.count
  }

  /** Takes those of a slot out. */
  take(slot: number): Doubts {
    const doubts = this.slots.get(slot)
    this.slots.delete(slot)
    this.count -= doubts?.keys.size ?? 0
    return doubts === undefined ? { keys: [], whole: false } : { keys: [...doubts.keys.values()], whole: doubts.whole }
  }
}
