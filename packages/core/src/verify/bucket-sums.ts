const FEWEST = 1 << 14
const MOST = 1 << 24

/**
 * Two sides' keys, dealt out to buckets by the hash of their names. A bucket is the sum of what one side holds less the sum
 * of what the other does, 64 bits: it is zero where both hold the same. Eight bytes for four keys however they come, and in
 * the caches of a processor; a table of keys is neither. Additive hashing of sets: Bellare and Micciancio, 1997; it guards
 * against mistakes, not against an adversary.
 */
export class BucketSums {
  private readonly sums: Int32Array
  private readonly mask: number

  /** @param keys about how many there will be on a side */
  constructor(keys: number) {
    let buckets = FEWEST
    while (buckets < keys / 4 && buckets < MOST) buckets *= 2
    this.sums = new Int32Array(buckets * 2)
    this.mask = buckets - 1
  }

  get buckets(): number {
    return this.mask + 1
  }

  /**
   * Puts keys in, the first side's with sign 1, the second's with -1. Each is four words: the hash of its name (a, b) and of
   * its value (c, d). Many at once, since each falls into another place of the memory, and these waits overlap.
   */
  add(hashes: Int32Array, keys: number, sign: 1 | -1): void {
    const { sums, mask } = this
    for (let word = 0; word < keys * 4; word += 4) {
      const a = hashes[word]
      const b = hashes[word + 1]
      const at = ((a ^ b) & mask) * 2
      let x = Math.imul(a ^ Math.imul(hashes[word + 2], 0x9e3779b1), 0x85ebca6b)
      x ^= x >>> 15
      let y = Math.imul(b ^ Math.imul(hashes[word + 3], 0xc2b2ae35), 0x27d4eb2f)
      y ^= y >>> 13
      // Each half depends on everything: a sum of halves that know only their own could cancel more easily.
      sums[at] = (sums[at] + Math.imul(sign, (x + Math.imul(y, 0x165667b1)) | 0)) | 0
      sums[at + 1] = (sums[at + 1] + Math.imul(sign, y ^ Math.imul(x, 0x61c88647))) | 0
    }
  }

  /** Whether the sides differ somewhere in the bucket of this name. */
  differs(a: number, b: number): boolean {
    const at = ((a ^ b) & this.mask) * 2
    return this.sums[at] !== 0 || this.sums[at + 1] !== 0
  }

  /** How many buckets differ. */
  different(): number {
    let count = 0
    for (let at = 0; at < this.sums.length; at += 2) if (this.sums[at] !== 0 || this.sums[at + 1] !== 0) count++
    return count
  }
}
