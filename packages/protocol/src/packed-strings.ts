import { PackedRecord } from '@ferrite-migrate/contracts'

const VERSION = 9

/** Where one string lies in the block that is being made. */
interface Place {
  readonly db: number
  readonly expireAt: number
  readonly keyStart: number
  readonly keyEnd: number
  readonly valueStart: number
  readonly valueEnd: number
}

/**
 * Makes records of plain strings that travel the short way: keys and values of a batch lie in one block, values as an RDB
 * holds them.
 */
export class PackedStrings {
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
    this.room(key.length + length + 5)
    const keyStart = this.at
    this.block.set(key, keyStart)
    const keyEnd = keyStart + key.length
    let at = keyEnd
    if (length < 64) this.block[at++] = length
    else if (length < 16_384) {
      this.block[at++] = 0x40 | (length >> 8)
      this.block[at++] = length & 255
    } else {
      this.block[at++] = 0x80
      at = this.block.writeUInt32BE(length, at)
    }
    if (prefix !== null) {
      this.block.set(prefix, at)
      at += prefix.length
    }
    this.block.set(value, at)
    this.at = at + value.length
    this.places.push({ db, expireAt, keyStart, keyEnd, valueStart: keyEnd, valueEnd: this.at })
  }

  /** The records made so far; the next ones go to a new block. */
  take(): PackedRecord[] {
    const { block } = this
    const records = this.places.map(
      ({ db, expireAt, keyStart, keyEnd, valueStart, valueEnd }) =>
        new PackedRecord(db, expireAt, block, keyStart, keyEnd, valueStart, valueEnd, 0, VERSION),
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
