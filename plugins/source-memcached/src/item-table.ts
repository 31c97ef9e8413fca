const WORDS = 4

/**
 * What was last known of each key, as fingerprints: 63 bits of its name, 32 of what identifies its value (cas and expiry),
 * and the number of the last dump that held it; at most 32 bytes a key.
 */
export class ItemTable {
  private slots = new Int32Array(WORDS << 16)
  /** Keys that are known. */
  size = 0
  private a = 0
  private b = 0

  /** Notes a key; false = it is known with the same stamp already. */
  note(key: Uint8Array, stamp: number, dump: number): boolean {
    if (this.size * 2 * WORDS > this.slots.length) this.grow()
    this.hash(key)
    const at = this.place(this.slots)
    const fresh = this.slots[at + 1] === 0
    const changed = fresh || this.slots[at + 2] !== stamp
    if (fresh) this.size++
    this.slots[at] = this.a
    this.slots[at + 1] = this.b
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
    this.a = from[i]
    this.b = from[i + 1]
    const at = this.place(this.slots)
    for (let word = 0; word < WORDS; word++) this.slots[at + word] = from[i + word]
  }

  private grow(): void {
    const former = this.slots
    this.slots = new Int32Array(former.length * 2)
    for (let i = 0; i < former.length; i += WORDS) if (former[i + 1] !== 0) this.insert(former, i)
  }

  private hash(key: Uint8Array): void {
    let a = 0x811c9dc5
    let b = 0x9747b28c ^ key.length
    for (let i = 0; i < key.length; i++) {
      a = Math.imul(a ^ key[i], 0x01000193)
      b = Math.imul(b ^ key[i], 0x5bd1e995)
      b ^= b >>> 15
    }
    a = Math.imul(a ^ (a >>> 16), 0x85ebca6b)
    this.a = a ^ (a >>> 13)
    // 0 marks a free slot.
    this.b = b | 1
  }

  private place(slots: Int32Array): number {
    const count = slots.length / WORDS
    for (let at = ((this.a ^ this.b) & (count - 1)) * WORDS; ; at = at + WORDS === slots.length ? 0 : at + WORDS)
      if (slots[at + 1] === 0 || (slots[at] === this.a && slots[at + 1] === this.b)) return at
  }
}
