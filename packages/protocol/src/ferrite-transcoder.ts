import { copyBytes } from './copy-bytes.js'
import { integer64Text, parseDouble, writeInteger } from './decimal.js'
import { damaged, ListpackCursor } from './listpack-cursor.js'
import { lzfBound, lzfDecompressInto } from './lzf.js'
import { rdbCorrupt } from './rdb-error.js'
import { RdbScan } from './rdb-scan.js'
import { RdbType } from './rdb-type.js'
import type { RespWriter } from './resp-writer.js'

/** Type bytes of Ferrite's RESTORE; see ferrite-payload.ts. */
const FERRITE = { list: 1, hash: 2, set: 3, zset: 4 } as const
/** Longest decimal text of 64 bits, with sign. */
const INTEGER_BYTES = 20
/** Scratch memory above this is not kept. */
const KEEP_BYTES = 1 << 20

/**
 * Turns the packed RDB encodings straight into Ferrite's own RESTORE payload, without an object per element: most
 * collections are packed, and decoding them one by one would cost more than Ferrite takes to store them.
 */
export class FerriteTranscoder {
  private readonly scan = new RdbScan()
  private readonly packed = new ListpackCursor()
  private inflated = Buffer.allocUnsafeSlow(64 << 10)
  private payload = Buffer.allocUnsafeSlow(64 << 10)
  private at = 0
  private source: Buffer = this.inflated
  private from = 0
  private to = 0
  /** Position after the string that `open` read. */
  private next = 0

  /**
   * Appends the argument for a value of this RDB type, or gives false and writes nothing: then it has to be decoded.
   * @throws MigrateError FM_RDB_CORRUPT, FM_RDB_LZF
   */
  write(out: RespWriter, type: number, data: Buffer, start: number, end: number): boolean {
    this.at = 1
    switch (type) {
      case RdbType.hashListpack:
        if (!this.open(data, start, end)) return false
        this.payload[0] = FERRITE.hash
        if (this.elements() % 2 !== 0) throw rdbCorrupt('a hash', 0, 'an odd number of elements')
        break
      case RdbType.setListpack:
        if (!this.open(data, start, end)) return false
        this.payload[0] = FERRITE.set
        this.elements()
        break
      case RdbType.zsetListpack:
        if (!this.open(data, start, end)) return false
        this.payload[0] = FERRITE.zset
        this.scores()
        break
      case RdbType.setIntset:
        if (!this.open(data, start, end)) return false
        this.payload[0] = FERRITE.set
        this.integers()
        break
      case RdbType.listQuicklist2:
        if (!this.list(data, start, end)) return false
        this.payload[0] = FERRITE.list
        break
      default:
        return false
    }
    out.range(this.payload, 0, this.at)
    if (this.payload.length > KEEP_BYTES) this.payload = Buffer.allocUnsafeSlow(64 << 10)
    if (this.inflated.length > KEEP_BYTES) this.inflated = Buffer.allocUnsafeSlow(64 << 10)
    return true
  }

  /** Opens an RDB string, inflated where it is compressed; false for one that is stored as an integer. */
  private open(data: Buffer, start: number, end: number): boolean {
    const { scan } = this
    const byte = data[start]
    if (byte < 0xc0) {
      this.from = scan.length(data, start, end)
      this.to = this.from + scan.value
      this.next = this.to
      this.source = data
      if (this.to > end) throw rdbCorrupt('a value', start, 'its blob is cut')
      return true
    }
    if (byte !== 0xc3) return false
    let at = scan.length(data, start + 1, end)
    const compressed = scan.value
    at = scan.length(data, at, end)
    const length = scan.value
    this.next = at + compressed
    if (length > lzfBound(compressed) || this.next > end)
      throw rdbCorrupt('a value', start, 'a compressed string announces an impossible length')
    if (this.inflated.length < length) this.inflated = Buffer.allocUnsafeSlow(Math.max(length, 64 << 10))
    lzfDecompressInto(data, at, this.next, this.inflated, 0, length)
    this.source = this.inflated
    this.from = 0
    this.to = length
    return true
  }

  private room(count: number): void {
    if (this.at + count <= this.payload.length) return
    const larger = Buffer.allocUnsafeSlow(Math.max(this.payload.length * 2, this.at + count))
    this.payload.copy(larger, 0, 0, this.at)
    this.payload = larger
  }

  /** A u32 in little-endian order. */
  private size(at: number, value: number): void {
    const { payload } = this
    payload[at] = value
    payload[at + 1] = value >>> 8
    payload[at + 2] = value >>> 16
    payload[at + 3] = value >>> 24
  }

  private bytes(source: Buffer, from: number, to: number): void {
    this.room(to - from + 4)
    this.size(this.at, to - from)
    copyBytes(source, from, to, this.payload, this.at + 4)
    this.at += 4 + to - from
  }

  private integer(value: number): void {
    this.room(INTEGER_BYTES + 4)
    const start = this.at + 4
    let to = start
    if (value < 0) this.payload[to++] = 45
    to = writeInteger(this.payload, to, Math.abs(value))
    this.size(this.at, to - start)
    this.at = to
  }

  private wide(source: Buffer, at: number): void {
    const text = integer64Text(source.readInt32LE(at + 4), source.readUInt32LE(at))
    this.bytes(text, 0, text.length)
  }

  /** The element under the cursor. */
  private element(): void {
    const { packed } = this
    if (packed.kind === 'text') this.bytes(packed.blob, packed.from, packed.to)
    else if (packed.kind === 'integer') this.integer(packed.integer)
    else this.wide(packed.blob, packed.from)
  }

  private elements(): number {
    const { packed } = this
    packed.open(this.source, this.from, this.to)
    let count = 0
    for (; packed.next(); count++) this.element()
    return count
  }

  private scores(): void {
    const { packed } = this
    packed.open(this.source, this.from, this.to)
    while (packed.next()) {
      this.element()
      if (!packed.next()) throw rdbCorrupt('a zset', 0, 'an odd number of elements')
      this.room(8)
      const score =
        packed.kind === 'integer'
          ? packed.integer
          : packed.kind === 'text'
            ? parseDouble(packed.blob, packed.from, packed.to)
            : Number(packed.blob.readBigInt64LE(packed.from))
      this.payload.writeDoubleLE(score, this.at)
      this.at += 8
    }
  }

  private integers(): void {
    const { source, from, to } = this
    if (to - from < 8) throw damaged('intset', 'shorter than its header', 0)
    const width = source.readUInt32LE(from)
    const count = source.readUInt32LE(from + 4)
    if (width !== 2 && width !== 4 && width !== 8) throw damaged('intset', `element width ${width}`, 0)
    if (to - from !== 8 + width * count) throw damaged('intset', 'its element count disagrees', 4)
    for (let at = from + 8; at < to; at += width) {
      if (width === 8) this.wide(source, at)
      else this.integer(source.readIntLE(at, width))
    }
  }

  private list(data: Buffer, start: number, end: number): boolean {
    const { scan } = this
    let at = scan.length(data, start, end)
    for (let left = scan.value; left > 0; left--) {
      at = scan.length(data, at, end)
      const plain = scan.value === 1
      if (!this.open(data, at, end)) return false
      at = this.next
      if (plain) this.bytes(this.source, this.from, this.to)
      else this.elements()
    }
    return true
  }
}
