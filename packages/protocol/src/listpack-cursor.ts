import { MigrateError } from '@ferrite-migrate/contracts'

/** A packed encoding whose bytes contradict themselves. */
export function damaged(what: string, detail: string, at: number): MigrateError {
  return new MigrateError(
    'FM_RDB_CORRUPT',
    `a ${what} is damaged at its byte ${at}: ${detail}`,
    'Take the dump again from the source.',
  )
}

/**
 * Walks a listpack without making an object per element. One cursor is used for many listpacks: the way of the data has
 * one for each writer. Layout: facts of redis/librdb and HDT3213/rdb, see docs/rdb.md.
 */
export class ListpackCursor {
  blob: Buffer = Buffer.alloc(0)
  /** Range of the element in `blob`; of an integer of 64 bits its eight bytes. */
  from = 0
  to = 0
  /** What `next` found: text, an integer in `integer`, or 64 bits at `from`. */
  kind: 'text' | 'integer' | 'wide' = 'text'
  integer = 0
  private at = 0
  private last = 0
  private found = 0
  private announced = 0

  /** @throws MigrateError FM_RDB_CORRUPT */
  open(blob: Buffer, from = 0, to = blob.length): void {
    if (to - from < 7) throw damaged('listpack', 'shorter than its header', 0)
    if (blob.readUInt32LE(from) !== to - from) throw damaged('listpack', 'its length field disagrees', 0)
    this.blob = blob
    this.announced = blob.readUInt16LE(from + 4)
    this.at = from + 6
    this.last = to - 1
    this.found = 0
  }

  /** False at the end. @throws MigrateError FM_RDB_CORRUPT */
  next(): boolean {
    const { blob, last } = this
    const start = this.at
    if (start >= last) {
      if (blob[start] !== 0xff) throw damaged('listpack', 'no end mark', start)
      if (this.announced !== 65535 && this.announced !== this.found)
        throw damaged('listpack', 'its element count disagrees', 4)
      return false
    }
    this.found++
    const byte = blob[start]
    let at = start
    if (byte < 0x80) {
      this.kind = 'integer'
      this.integer = byte
      at += 1
    } else if (byte < 0xc0) {
      this.kind = 'text'
      this.from = start + 1
      at += 1 + (byte & 63)
    } else if (byte < 0xe0) {
      this.kind = 'integer'
      this.integer = ((((byte & 31) << 8) | blob[start + 1]) << 19) >> 19
      at += 2
    } else if (byte < 0xf0) {
      if (at + 2 > last) throw damaged('listpack', 'a length is cut', at)
      this.kind = 'text'
      this.from = start + 2
      at += 2 + (((byte & 15) << 8) | blob[at + 1])
    } else {
      const width =
        byte === 0xf0 ? 4 : byte === 0xf1 ? 2 : byte === 0xf2 ? 3 : byte === 0xf3 ? 4 : byte === 0xf4 ? 8 : 0
      if (width === 0) throw damaged('listpack', `unknown encoding ${byte}`, at)
      if (at + 1 + width > last) throw damaged('listpack', 'an element is cut', at)
      at += 1 + width
      this.from = start + 1
      if (byte === 0xf0) {
        this.kind = 'text'
        this.from = start + 5
        at += blob.readUInt32LE(start + 1)
      } else if (byte === 0xf4) this.kind = 'wide'
      else {
        this.kind = 'integer'
        this.integer = blob.readIntLE(start + 1, width)
      }
    }
    this.to = at
    const size = at - start
    at += size < 128 ? 1 : size < 16384 ? 2 : size < 2097152 ? 3 : size < 268435456 ? 4 : 5
    if (at > last) throw damaged('listpack', 'an element runs past the end', start)
    this.at = at
    return true
  }
}
