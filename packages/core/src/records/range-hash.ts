/**
 * A hash of 64 bits over ranges of blocks, two lanes of rotate and multiply that each take every word, finished as in
 * MurmurHash3. It guards against mistakes, not against an adversary.
 */
export class RangeHash {
  a = 0
  b = 0
  private block: Buffer | null = null
  private view: DataView = new DataView(new ArrayBuffer(0))

  /** Leaves the hash in `a` and `b`. */
  of(data: Buffer, start: number, end: number, seed: number, salt: number): void {
    // Records of one batch lie in one block: words are read through one view of it.
    if (data !== this.block) {
      this.block = data
      this.view = new DataView(data.buffer, data.byteOffset, data.byteLength)
    }
    const { view } = this
    let a = seed ^ (end - start)
    let b = salt ^ 0x9747b28c
    let at = start
    for (const last = end - 8; at <= last; at += 8) {
      const first = view.getInt32(at, true)
      const second = view.getInt32(at + 4, true)
      // A product's top bit knows only the top bit of its word: the other lane gets that word turned.
      a = Math.imul(((a << 15) | (a >>> 17)) ^ first, 0xcc9e2d51) + ((second << 11) | (second >>> 21))
      b = Math.imul(((b << 13) | (b >>> 19)) ^ second, 0x1b873593) + ((first << 7) | (first >>> 25))
    }
    if (at + 4 <= end) {
      const word = view.getInt32(at, true)
      a = Math.imul(((a << 15) | (a >>> 17)) ^ word, 0xcc9e2d51)
      b = Math.imul(((b << 13) | (b >>> 19)) ^ word, 0x1b873593)
      at += 4
    }
    let rest = 0
    for (let shift = 0; at < end; at++, shift += 8) rest |= data[at] << shift
    a = Math.imul(((a << 15) | (a >>> 17)) ^ rest, 0xcc9e2d51)
    b = Math.imul(((b << 13) | (b >>> 19)) ^ rest, 0x1b873593)
    a ^= a >>> 16
    a = Math.imul(a, 0x85ebca6b)
    a ^= a >>> 13
    b ^= a
    b ^= b >>> 16
    b = Math.imul(b, 0xc2b2ae35)
    this.a = a ^ b
    this.b = b ^ (b >>> 13)
  }
}
