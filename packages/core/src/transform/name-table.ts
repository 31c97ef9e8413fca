import type { DirtyKey } from '@ferrite-migrate/contracts'
import { KeyFingerprint } from '@ferrite-migrate/protocol'

const WORDS = 3
/** Words that are reserved on somebody's word at most. */
const MOST_AT_ONCE = WORDS << 24

/**
 * Names with the keys that got them, as fingerprints: 63 bits of a name, 32 of its key, at most 24 bytes for each. A name
 * that two keys get goes unseen with a chance of 2^-32.
 */
export class NameTable {
  private slots = new Int32Array(WORDS << 16)
  private used = 0
  private readonly print = new KeyFingerprint()

  /** Makes room for so many names at once, where it is known beforehand. */
  expect(names: number): void {
    while (names * 2 * WORDS > this.slots.length && this.slots.length < MOST_AT_ONCE) this.grow()
  }

  /** True when the name is new, or this key has it already. */
  take(name: DirtyKey, key: DirtyKey): boolean {
    if (this.used * 2 * WORDS > this.slots.length) this.grow()
    const at = this.find(name)
    const owner = hash(key) | 1
    if (this.slots[at + 1] === 0) {
      this.slots[at] = this.print.a
      this.slots[at + 1] = this.print.b
      this.slots[at + 2] = owner
      this.used++
      return true
    }
    return this.slots[at + 2] === owner
  }

  /** From now on the name is this key's. */
  replace(name: DirtyKey, key: DirtyKey): void {
    this.slots[this.find(name) + 2] = hash(key) | 1
  }

  private find({ db, key }: DirtyKey): number {
    this.print.of(db, key)
    return this.place(this.slots, this.print.a, this.print.b)
  }

  private place(slots: Int32Array, a: number, b: number): number {
    const count = slots.length / WORDS
    for (let at = ((a ^ b) & (count - 1)) * WORDS; ; at = at + WORDS === slots.length ? 0 : at + WORDS)
      if (slots[at + 1] === 0 || (slots[at] === a && slots[at + 1] === b)) return at
  }

  private grow(): void {
    const larger = new Int32Array(this.slots.length * 2)
    for (let i = 0; i < this.slots.length; i += WORDS) {
      if (this.slots[i + 1] === 0) continue
      const at = this.place(larger, this.slots[i], this.slots[i + 1])
      larger[at] = this.slots[i]
      larger[at + 1] = this.slots[i + 1]
      larger[at + 2] = this.slots[i + 2]
    }
    this.slots = larger
  }
}

function hash({ db, key }: DirtyKey): number {
  let value = 0x2f0b4f3d ^ db
  for (let i = 0; i < key.length; i++) value = Math.imul(value ^ key[i], 0x01000193) ^ (value >>> 15)
  return value ^ (value >>> 16)
}
