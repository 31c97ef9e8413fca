import { type DirtyKey, PackedRecord } from '@ferrite-migrate/contracts'
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
  private prints = new Int32Array(0)

  /** Makes room for so many more names at once, where it is known beforehand. */
  expect(names: number): void {
    while ((this.used + names) * 2 * WORDS > this.slots.length && this.slots.length < MOST_AT_ONCE) this.grow()
  }

  /** True when the name is new, or this key has it already. */
  take(name: DirtyKey, key: DirtyKey): boolean {
    let own = true
    this.takeAll([name], [key], () => {
      own = false
    })
    return own
  }

  /** Takes the names for the keys, which go together; tells the index of every name that another key has. */
  takeAll(names: readonly DirtyKey[], keys: readonly DirtyKey[], taken: (index: number) => void): void {
    const { print } = this
    const count = names.length
    while ((this.used + count) * 2 * WORDS > this.slots.length) this.grow()
    // All fingerprints before all look-ups: then the processor waits for many places of the memory at once.
    if (this.prints.length < count * WORDS) this.prints = new Int32Array(count * WORDS)
    const { prints, slots } = this
    for (let i = 0, at = 0; i < count; i++) {
      fingerprint(print, names[i])
      prints[at++] = print.a
      prints[at++] = print.b
      prints[at++] = hash(keys[i]) | 1
    }
    for (let i = 0, from = 0; i < count; i++, from += WORDS) {
      const a = prints[from]
      const b = prints[from + 1]
      const owner = prints[from + 2]
      const at = this.place(slots, a, b)
      if (slots[at + 1] === 0) {
        slots[at] = a
        slots[at + 1] = b
        slots[at + 2] = owner
        this.used++
      } else if (slots[at + 2] !== owner) taken(i)
    }
  }

  /** From now on the name is this key's. */
  replace(name: DirtyKey, key: DirtyKey): void {
    this.slots[this.find(name) + 2] = hash(key) | 1
  }

  private find(name: DirtyKey): number {
    fingerprint(this.print, name)
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

function fingerprint(print: KeyFingerprint, name: DirtyKey): void {
  if (name instanceof PackedRecord) print.of(name.db, name.keyData, name.keyStart, name.keyEnd)
  else print.of(name.db, name.key)
}

function hash(name: DirtyKey): number {
  return name instanceof PackedRecord
    ? hashRange(name.db, name.keyData, name.keyStart, name.keyEnd)
    : hashRange(name.db, name.key, 0, name.key.length)
}

function hashRange(db: number, data: Uint8Array, start: number, end: number): number {
  let value = 0x2f0b4f3d ^ db
  for (let i = start; i < end; i++) value = Math.imul(value ^ data[i], 0x01000193) ^ (value >>> 15)
  return value ^ (value >>> 16)
}
