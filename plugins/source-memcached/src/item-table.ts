import { KeyFingerprint } from '@ferrite-migrate/protocol'

const WORDS = 4
/** Slots for each key that is expected, and at least for each that is there. */
const ROOM = 1.5
const FULL = 1.4
/** What a server says it has is not taken for more: a larger table grows as keys come. */
const MOST_EXPECTED = 1 << 22

/**
 * What was last known of each key, as fingerprints: 63 bits of its name, 32 of what identifies its value (cas and expiry),
 * and the number of the last dump that held it; 24 bytes a key where their number was expected, at most 45.
 */
export class ItemTable {
  private slots = new Int32Array(WORDS << 16)
  /** Keys that are known. */
  size = 0
  private readonly print = new KeyFingerprint()

  /** Makes room for so many keys at once, where it has no key yet. */
  expect(keys: number): void {
    const room = Math.ceil(Math.min(keys, MOST_EXPECTED) * ROOM) * WORDS
    if (this.size === 0 && room > this.slots.length) this.slots = new Int32Array(room)
  }

  /** Notes a key; false = it is known with the same stamp already. */
  note(key: Uint8Array, stamp: number, dump: number): boolean {
    if (this.size * FULL * WORDS > this.slots.length) this.grow()
    this.print.of(0, key)
    const { a, b } = this.print
    const at = this.place(a, b)
    const fresh = this.slots[at + 1] === 0
    const changed = fresh || this.slots[at + 2] !== stamp
    if (fresh) this.size++
    this.slots[at] = a
    this.slots[at + 1] = b
    this.slots[at + 2] = stamp
    this.slots[at + 3] = dump
    return changed
  }

  /** Forgets keys that the dump did not hold; gives how many there were. */
  forgetOthers(dump: number): number {
    const former = this.slots
    const before = this.size
    this.slots = new Int32Array(former.length)
    this.size = 0
    for (let i = 0; i < former.length; i += WORDS) {
      if (former[i + 1] === 0 || former[i + 3] !== dump) continue
      this.insert(former, i)
      this.size++
    }
    return before - this.size
  }

  private insert(from: Int32Array, i: number): void {
    const at = this.place(from[i], from[i + 1])
    for (let word = 0; word < WORDS; word++) this.slots[at + word] = from[i + word]
  }

  private grow(): void {
    const former = this.slots
    this.slots = new Int32Array(former.length * 2)
    for (let i = 0; i < former.length; i += WORDS) if (former[i + 1] !== 0) this.insert(former, i)
  }

  private place(a: number, b: number): number {
    const { slots } = this
    for (
      let at = Math.floor(((a ^ b) >>> 0) * (slots.length / WORDS / 2 ** 32)) * WORDS;
      ;
      at = at + WORDS === slots.length ? 0 : at + WORDS
    )
      if (slots[at + 1] === 0 || (slots[at] === a && slots[at + 1] === b)) return at
  }
}
