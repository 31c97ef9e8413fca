/** 63 bits that stand for a key of a database, in two numbers; `b` is never 0, which marks a free slot of a table. */
export class KeyFingerprint {
  a = 0
  b = 0

  /** Leaves the fingerprint of a key, or of a range that is one, in `a` and `b`. */
  of(db: number, data: Uint8Array, start = 0, end = data.length): void {
    let a = 0x811c9dc5 ^ db
    let b = 0x9747b28c ^ (end - start)
    for (let i = start; i < end; i++) {
      a = Math.imul(a ^ data[i], 0x01000193)
      b = Math.imul(b ^ data[i], 0x5bd1e995)
      b ^= b >>> 15
    }
    a = Math.imul(a ^ (a >>> 16), 0x85ebca6b)
    this.a = a ^ (a >>> 13)
    this.b = b | 1
  }
}

/** A hash table of fingerprints: two words for each and `extra` more. At most half of it is used. */
class FingerprintTable {
  protected slots: Int32Array
  private readonly words: number
  private used = 0
  private readonly print = new KeyFingerprint()

  constructor(extra: number) {
    this.words = 2 + extra
    this.slots = new Int32Array(this.words << 16)
  }

  /** Keys in it. */
  get size(): number {
    return this.used
  }

  private place(slots: Int32Array, a: number, b: number): number {
    const { words } = this
    const mask = slots.length / words - 1
    for (let at = (a ^ b) & mask; ; at = (at + 1) & mask) {
      const slot = at * words
      if (slots[slot + 1] === 0 || (slots[slot] === a && slots[slot + 1] === b)) return slot
    }
  }

  /** Where the words of this key are; -1 = it is not in the table. */
  protected find(db: number, key: Buffer): number {
    this.print.of(db, key)
    const at = this.place(this.slots, this.print.a, this.print.b)
    return this.slots[at + 1] === 0 ? -1 : at
  }

  /** Puts the key in; gives where its words are, or -1 when it was there. */
  protected enter(db: number, key: Buffer): number {
    if (this.used * 2 > this.slots.length / this.words) this.grow()
    this.print.of(db, key)
    const { a, b } = this.print
    const at = this.place(this.slots, a, b)
    if (this.slots[at + 1] !== 0) return -1
    this.slots[at] = a
    this.slots[at + 1] = b
    this.used++
    return at
  }

  private grow(): void {
    const { slots, words } = this
    const larger = new Int32Array(slots.length * 2)
    for (let from = 0; from < slots.length; from += words) {
      if (slots[from + 1] === 0) continue
      const at = this.place(larger, slots[from], slots[from + 1])
      for (let word = 0; word < words; word++) larger[at + word] = slots[from + word]
    }
    this.slots = larger
  }
}

/**
 * A set of keys as 63-bit fingerprints, for the few cases in which a run must remember which keys it has seen (a second
 * full sync, changes that come late). Sixteen to 32 bytes a key; two different keys count as one with a chance of about
 * n^2 / 2^64.
 */
export class FingerprintSet extends FingerprintTable {
  constructor() {
    super(0)
  }

  add(db: number, key: Buffer): void {
    this.enter(db, key)
  }

  has(db: number, key: Buffer): boolean {
    return this.find(db, key) >= 0
  }
}

/**
 * Numbers by keys that are known by their 63-bit fingerprints, for numbers of records that can be looked into to be
 * certain. 24 to 48 bytes a key.
 */
export class FingerprintMap extends FingerprintTable {
  constructor() {
    super(1)
  }

  /** @param number 0 to 2^32 - 1; a key that has one keeps it */
  add(db: number, key: Buffer, number: number): void {
    const at = this.enter(db, key)
    if (at >= 0) this.slots[at + 2] = number
  }

  get(db: number, key: Buffer): number | undefined {
    const at = this.find(db, key)
    return at < 0 ? undefined : this.slots[at + 2] >>> 0
  }
}
