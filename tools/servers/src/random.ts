/** A deterministic generator (mulberry32): the same seed gives the same data on every machine. */
export class Random {
  private state: number

  constructor(seed: number) {
    this.state = seed | 0
  }

  /** A whole number from 0 up to but not including `below`. */
  below(below: number): number {
    this.state = (this.state + 0x6d2b79f5) | 0
    let t = Math.imul(this.state ^ (this.state >>> 15), 1 | this.state)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return ((t ^ (t >>> 14)) >>> 0) % below
  }

  between(low: number, high: number): number {
    return low + this.below(high - low + 1)
  }

  /** Printable text; a quarter of it repeats, as real values do. */
  text(length: number): string {
    let out = ''
    while (out.length < length)
      out += this.below(4) === 0 ? 'status=active;' : Math.imul(this.below(0x7fffffff), 2654435761).toString(36)
    return out.slice(0, length)
  }

  bytes(length: number): Buffer {
    const out = Buffer.allocUnsafe(length)
    for (let i = 0; i < length; i++) out[i] = this.below(256)
    return out
  }
}
