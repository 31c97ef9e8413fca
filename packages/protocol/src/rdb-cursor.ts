import { rdbCorrupt, rdbTruncated } from './rdb-error.js'
import { MORE, RdbScan } from './rdb-scan.js'
import { decodeString } from './rdb-string.js'

/**
 * Reads the parts of a value that is held whole. Strings are views where the RDB holds them plain, new Buffers where
 * they were integers or compressed.
 */
export class RdbCursor {
  at: number
  private readonly data: Buffer
  private readonly end: number
  private readonly scan = new RdbScan()

  constructor(data: Buffer, at = 0, end = data.length) {
    this.data = data
    this.at = at
    this.end = end
  }

  get left(): number {
    return this.end - this.at
  }

  private advance(next: number, element: string): void {
    if (next === MORE || next > this.end) throw rdbTruncated(element, this.at)
    this.at = next
  }

  length(element = 'a length'): number {
    this.advance(this.scan.length(this.data, this.at, this.end), element)
    return this.scan.value
  }

  /** A count of things of at least `each` bytes: refused when what is left cannot hold them. */
  count(each: number, element: string): number {
    const start = this.at
    const value = this.length(element)
    if (value * each > this.left) throw rdbCorrupt(element, start, `${value} items cannot fit in ${this.left} bytes`)
    return value
  }

  /** A length that may use all 64 bits, as decimal text; the unsigned maximum reads as -1. */
  bigLength(): string {
    const start = this.at
    this.length()
    if (this.data[start] !== 0x81) return String(this.scan.value)
    const value = this.data.readBigUInt64BE(start + 1)
    return value === 0xffffffffffffffffn ? '-1' : value.toString()
  }

  bytes(count: number, element: string): Buffer {
    const start = this.at
    this.advance(this.at + count, element)
    return this.data.subarray(start, this.at)
  }

  uint64(): bigint {
    return this.bytes(8, 'a number').readBigUInt64LE(0)
  }

  double(): number {
    return this.bytes(8, 'a score').readDoubleLE(0)
  }

  /** Signed 64-bit little-endian milliseconds. */
  time(): number {
    return Number(this.bytes(8, 'a time').readBigInt64LE(0))
  }

  string(element = 'a string'): Buffer {
    const start = this.at
    this.advance(this.scan.string(this.data, start, this.end), element)
    return decodeString(this.data, start, this.at, this.scan)
  }

  /** A score written as text (RDB type 3). */
  asciiDouble(): number {
    const size = this.bytes(1, 'a score')[0]
    if (size === 253) return Number.NaN
    if (size === 254) return Infinity
    if (size === 255) return -Infinity
    const start = this.at
    const value = Number(this.bytes(size, 'a score').toString('latin1'))
    if (Number.isNaN(value)) throw rdbCorrupt('a score', start, 'no number')
    return value
  }
}
