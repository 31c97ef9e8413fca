import { PackedRecord } from '@ferrite-migrate/contracts'
import { RdbType } from './rdb-type.js'

const VERSION = 9

/** What the length of a string takes at most. */
const LENGTH_BYTES = 5
/** UTF-16 units of a text that is short: three bytes each at most, so that one byte holds its length. */
const SHORT = 21

/** Where one record lies in the block that is being made. */
interface Place {
  readonly db: number
  readonly expireAt: number
  readonly keyStart: number
  readonly keyEnd: number
  readonly valueStart: number
  readonly valueEnd: number
  readonly type: number
}

/**
 * Makes records of strings and hashes that travel the short way: keys and values of a batch lie in one block, values as an
 * RDB holds them.
 */
export class PackedValues {
  private block: Buffer
  private at = 0
  private readonly places: Place[] = []

  /** @param bytes of the block at first; it grows */
  constructor(bytes = 64 << 10) {
    this.block = Buffer.allocUnsafeSlow(bytes)
  }

  get size(): number {
    return this.places.length
  }

  get byteLength(): number {
    return this.at
  }

  /** Copies key and value. `prefix` comes before the value's bytes. */
  add(db: number, key: Uint8Array, value: Uint8Array, expireAt: number, prefix: Uint8Array | null = null): void {
    const length = value.length + (prefix?.length ?? 0)
    this.room(key.length + length + LENGTH_BYTES)
    const keyStart = this.at
    this.block.set(key, keyStart)
    const keyEnd = keyStart + key.length
    this.at = keyEnd
    this.length(length)
    if (prefix !== null) {
      this.block.set(prefix, this.at)
      this.at += prefix.length
    }
    this.block.set(value, this.at)
    this.at += value.length
    this.places.push({ db, expireAt, keyStart, keyEnd, valueStart: keyEnd, valueEnd: this.at, type: RdbType.string })
  }

  /** A string as text. */
  addText(db: number, key: string, value: string, expireAt: number): void {
    const keyStart = this.at
    this.rawText(key)
    const keyEnd = this.at
    this.text(value)
    this.places.push({ db, expireAt, keyStart, keyEnd, valueStart: keyEnd, valueEnd: this.at, type: RdbType.string })
  }

  /** A hash as text: field, value, field, value. Fields must differ. */
  addHash(db: number, key: string, fields: readonly string[], expireAt: number): void {
    const keyStart = this.at
    this.rawText(key)
    const keyEnd = this.at
    this.room(LENGTH_BYTES)
    this.length(fields.length >> 1)
    for (const text of fields) this.text(text)
    this.places.push({ db, expireAt, keyStart, keyEnd, valueStart: keyEnd, valueEnd: this.at, type: RdbType.hash })
  }

  /** The key of a record that was added, counted from the last `take`. A view. */
  keyAt(index: number): Buffer {
    const { keyStart, keyEnd } = this.places[index]
    return this.block.subarray(keyStart, keyEnd)
  }

  private rawText(text: string): void {
    this.room(text.length * 3)
    this.at += this.writeText(text, this.at)
  }

  /** Writes text where there is room for it and gives its bytes. A loop is faster than a call for a few letters. */
  private writeText(text: string, start: number): number {
    const { block } = this
    const { length } = text
    if (length > SHORT) return block.write(text, start, 'utf8')
    for (let i = 0; i < length; i++) {
      const code = text.charCodeAt(i)
      if (code > 0x7f) return block.write(text, start, 'utf8')
      block[start + i] = code
    }
    return length
  }

  /** A string with its length before it. */
  private text(text: string): void {
    this.room(text.length * 3 + LENGTH_BYTES)
    if (text.length <= SHORT) {
      const start = this.at++
      const bytes = this.writeText(text, this.at)
      this.block[start] = bytes
      this.at += bytes
      return
    }
    this.length(Buffer.byteLength(text))
    this.at += this.block.write(text, this.at, 'utf8')
  }

  private length(length: number): void {
    if (length < 64) this.block[this.at++] = length
    else if (length < 16_384) {
      this.block[this.at++] = 0x40 | (length >> 8)
      this.block[this.at++] = length & 255
    } else {
      this.block[this.at++] = 0x80
      this.at = this.block.writeUInt32BE(length, this.at)
    }
  }

  /** The records made so far; the next ones go to a new block. */
  take(): PackedRecord[] {
    const { block } = this
    const records = this.places.map(
      ({ db, expireAt, keyStart, keyEnd, valueStart, valueEnd, type }) =>
        new PackedRecord(db, expireAt, block, keyStart, keyEnd, valueStart, valueEnd, type, VERSION),
    )
    this.block = Buffer.allocUnsafeSlow(Math.max(64 << 10, Math.min(block.length, 4 << 20)))
    this.at = 0
    this.places.length = 0
    return records
  }

  private room(bytes: number): void {
    if (this.at + bytes <= this.block.length) return
    const larger = Buffer.allocUnsafeSlow(Math.max(this.block.length * 2, this.at + bytes))
    this.block.copy(larger, 0, 0, this.at)
    this.block = larger
  }
}
