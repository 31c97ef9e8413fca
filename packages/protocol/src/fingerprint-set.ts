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

/**
 * A set of keys as 63-bit fingerprints, for the few cases in which a run must remember which keys it has seen (a second
 * full sync, changes that come late). Sixteen bytes a key at most; two different keys count as one with a chance of about n^2 / 2^64.
 */
export class FingerprintSet {
  private slots = new Int32Array(2 << 16)
  private used = 0
  private readonly print = new KeyFingerprint()

  /** Keys in it. */
  get size(): number {
    return this.used
  }

  private static place(slots: Int32Array, a: number, b: number): number {
    const mask = slots.length / 2 - 1
    for (let at = (a ^ b) & mask; ; at = (at + 1) & mask) {
      if (slots[at * 2 + 1] === 0 || (slots[at * 2] === a && slots[at * 2 + 1] === b)) return at * 2
    }
  }

  add(db: number, key: Buffer): void {
    if (this.used * 2 > this.slots.length / 2) {
      const larger = new Int32Array(this.slots.length * 2)
      for (let i = 0; i < this.slots.length; i += 2) {
        if (this.slots[i + 1] === 0) continue
        const at = FingerprintSet.place(larger, this.slots[i], this.slots[i + 1])
        larger[at] = this.slots[i]
        larger[at + 1] = this.slots[i + 1]
      }
      this.slots = larger
    }
    this.print.of(db, key)
    const { a, b } = this.print
    const at = FingerprintSet.place(this.slots, a, b)
    if (this.slots[at + 1] === 0) this.used++
    this.slots[at] = a
    this.slots[at + 1] = b
  }

  has(db: number, key: Buffer): boolean {
    this.print.of(db, key)
    const { a, b } = this.print
    return this.slots[FingerprintSet.place(this.slots, a, b) + 1] !== 0
  }
}
