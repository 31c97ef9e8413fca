/** Mixes the bits of a 32-bit number (the finaliser of MurmurHash3). */
function mix(value: number): number {
  value ^= value >>> 16
  value = Math.imul(value, 0x85ebca6b)
  value ^= value >>> 13
  value = Math.imul(value, 0xc2b2ae35)
  return value ^ (value >>> 16)
}

/**
 * Decides by its name whether a key belongs to a sample: the same seed and rate choose the same keys at both ends, whatever
 * the order in which they are named.
 */
export class KeySample {
  private readonly seed: number
  private readonly limit: number

  /** @param rate share of keys, 0 to 1 */
  constructor(rate: number, seed: number) {
    this.seed = mix(seed | 0)
    this.limit = Math.round(rate * 4294967296)
  }

  takes(db: number, key: Buffer): boolean {
    let hash = this.seed ^ Math.imul(db + 1, 0x9e3779b1)
    for (const byte of key) hash = Math.imul(hash ^ byte, 0x01000193)
    return mix(hash) >>> 0 < this.limit
  }
}
