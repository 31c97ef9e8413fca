import { listpackElements } from './packed.js'
import { rdbCorrupt, rdbUnknown } from './rdb-error.js'
import { decodeString } from './rdb-string.js'
import { hasProducers, Opcode, RdbType, VALKEY_RDB_VERSION } from './rdb-type.js'

/** What a skip gives when the bytes run out. */
export const MORE = -1

/** Lengths above this are no lengths: 2^53 cannot be counted exactly, and no server holds 2^48 bytes in one key. */
const MAX_LENGTH = 2 ** 48
/** Bytes of one string: far above what any server takes (512 MiB, unless it was told otherwise). */
const MAX_STRING = 2 ** 32

/**
 * Raw level of an RDB: finds where things end without decoding them. One instance per stream; `fail` positions are
 * turned into stream offsets by `base`. Layout: facts from redis/librdb, RedisShake and HDT3213/rdb, see docs/rdb.md.
 */
export class RdbScan {
  /** The number that the last `length` read. */
  value = 0
  /** Bytes of the stream before data[0]. */
  base = 0
  /** Field names that later hashes refer to, by their number. */
  readonly templates = new Map<number, readonly Buffer[]>()
  private fieldCount = 0
  /** How far a collection was skipped when the bytes ran out, so that the next try goes on there. */
  private resumeAt = 0
  private resumeLeft = -1

  forget(): void {
    this.resumeLeft = -1
  }

  /** Reads a length into `value`; gives the position after it or MORE. */
  length(data: Buffer, at: number, end: number): number {
    if (at >= end) return MORE
    const byte = data[at]
    if (byte < 0x40) {
      this.value = byte
      return at + 1
    }
    if (byte < 0x80) {
      if (at + 2 > end) return MORE
      this.value = ((byte & 63) << 8) | data[at + 1]
      return at + 2
    }
    if (byte === 0x80) {
      if (at + 5 > end) return MORE
      this.value = data.readUInt32BE(at + 1)
      return at + 5
    }
    if (byte === 0x81) {
      if (at + 9 > end) return MORE
      this.value = data.readUInt32BE(at + 1) * 4294967296 + data.readUInt32BE(at + 5)
      return at + 9
    }
    throw rdbCorrupt('a length', this.base + at, `byte ${byte} starts no length`)
  }

  /** Like `length`, for counts and sizes: refuses what no server could have written. */
  private size(data: Buffer, at: number, end: number): number {
    const next = this.length(data, at, end)
    if (next !== MORE && this.value > MAX_LENGTH)
      throw rdbCorrupt('a length', this.base + at, `${this.value} is too large`)
    return next
  }

  /** Like `length`, for the bytes of a string. */
  private text(data: Buffer, at: number, end: number): number {
    const next = this.length(data, at, end)
    if (next !== MORE && this.value > MAX_STRING)
      throw rdbCorrupt('a string', this.base + at, `${this.value} bytes are too many`)
    return next
  }

  /** Position after a string, or MORE. */
  string(data: Buffer, at: number, end: number): number {
    if (at >= end) return MORE
    const byte = data[at]
    let next: number
    if (byte < 0x40) next = at + 1 + byte
    else if (byte < 0x80) next = at + 1 >= end ? end + 1 : at + 2 + (((byte & 63) << 8) | data[at + 1])
    else if (byte < 0xc0) {
      next = this.text(data, at, end)
      if (next === MORE) return MORE
      next += this.value
    } else if (byte === 0xc0) next = at + 2
    else if (byte === 0xc1) next = at + 3
    else if (byte === 0xc2) next = at + 5
    else if (byte === 0xc3) {
      next = this.text(data, at + 1, end)
      if (next === MORE) return MORE
      const compressed = this.value
      next = this.text(data, next, end)
      if (next === MORE) return MORE
      next += compressed
    } else throw rdbCorrupt('a string', this.base + at, `unknown encoding ${byte}`)
    return next > end ? MORE : next
  }

  private fixed(at: number, end: number, count: number): number {
    return at === MORE || at + count > end ? MORE : at + count
  }

  private strings(data: Buffer, at: number, end: number, count: number): number {
    for (let left = count; left > 0 && at !== MORE; left--) at = this.string(data, at, end)
    return at
  }

  private asciiDouble(data: Buffer, at: number, end: number): number {
    if (at === MORE || at >= end) return MORE
    return data[at] >= 253 ? at + 1 : this.fixed(at + 1, end, data[at])
  }

  /** Position after one element of a collection of this type, or MORE. */
  element(type: number, rdbVersion: number, data: Buffer, at: number, end: number): number {
    switch (type) {
      case RdbType.list:
      case RdbType.set:
      case RdbType.listQuicklist:
        return this.string(data, at, end)
      case RdbType.hash:
        return this.strings(data, at, end, 2)
      case RdbType.zset2:
        return this.fixed(this.string(data, at, end), end, 8)
      case RdbType.zset:
        return this.asciiDouble(data, this.string(data, at, end), end)
      case RdbType.listQuicklist2: {
        const next = this.length(data, at, end)
        if (next !== MORE && this.value !== 1 && this.value !== 2)
          throw rdbCorrupt('a list node', this.base + at, `unknown container ${this.value}`)
        return next === MORE ? MORE : this.string(data, next, end)
      }
      default: {
        if (rdbVersion >= VALKEY_RDB_VERSION) return this.fixed(this.strings(data, at, end, 2), end, 8)
        // 24 and Redis's 22: ttl, field, value.
        const next = this.length(data, at, end)
        return next === MORE ? MORE : this.strings(data, next, end, 2)
      }
    }
  }

  /** Position after the value of this type that starts at `at`, or MORE. Calls repeat with the same `at` until done. */
  body(type: number, rdbVersion: number, data: Buffer, at: number, end: number): number {
    const valkey = rdbVersion >= VALKEY_RDB_VERSION
    switch (type) {
      case RdbType.string:
      case RdbType.hashZipmap:
      case RdbType.listZiplist:
      case RdbType.setIntset:
      case RdbType.zsetZiplist:
      case RdbType.hashZiplist:
      case RdbType.hashListpack:
      case RdbType.zsetListpack:
      case RdbType.setListpack:
        return this.string(data, at, end)
      case RdbType.list:
      case RdbType.set:
      case RdbType.listQuicklist:
      case RdbType.hash:
      case RdbType.zset2:
      case RdbType.zset:
      case RdbType.listQuicklist2:
        return this.collection(type, rdbVersion, data, at, end, 0)
      case RdbType.valkeyHash2:
        return this.collection(type, rdbVersion, data, at, end, 0)
      case RdbType.hashMeta:
        if (valkey) break
        return this.collection(type, rdbVersion, data, at, end, 8)
      case RdbType.hashListpackExPreRelease:
        if (valkey) break
        return this.string(data, at, end)
      case RdbType.hashListpackEx:
        if (valkey) break
        return at + 8 > end ? MORE : this.string(data, at + 8, end)
      case RdbType.stream:
      case RdbType.stream2:
      case RdbType.stream3:
        return this.stream(type, data, at, end)
      case RdbType.stream4:
      case RdbType.stream5:
        if (valkey) break
        return this.stream(type, data, at, end)
      case RdbType.array:
        if (valkey) break
        return this.array(data, at, end)
      case RdbType.templatePackRef:
        if (valkey) break
        return this.string(data, at, end)
      case RdbType.templatePack:
      case RdbType.templateHash: {
        if (valkey) break
        const next = this.templateFields(data, at, end)
        if (next === MORE) return MORE
        return type === RdbType.templatePack
          ? this.string(data, next, end)
          : this.strings(data, next, end, this.fieldCount)
      }
      case RdbType.templateHashRef: {
        if (valkey) break
        const next = this.length(data, at, end)
        if (next === MORE) return MORE
        const fields = this.templates.get(this.value)
        if (fields === undefined) throw rdbCorrupt('a hash', this.base + at, `there is no template ${this.value}`)
        return this.strings(data, next, end, fields.length)
      }
      case RdbType.rateLimit:
        if (valkey) break
        return this.length(data, at, end)
      case RdbType.module2: {
        const next = this.length(data, at, end)
        return next === MORE ? MORE : this.moduleOpcodes(data, next, end)
      }
      case RdbType.modulePreRelease:
        throw rdbUnknown(
          'a value',
          this.base + at,
          'a module value of a pre-release format, whose length is not written',
        )
    }
    throw rdbUnknown('a value', this.base + at, `unknown value type ${type}`)
  }

  private collection(
    type: number,
    rdbVersion: number,
    data: Buffer,
    start: number,
    end: number,
    header: number,
  ): number {
    let at: number
    let left: number
    if (this.resumeLeft >= 0) {
      at = start + this.resumeAt
      left = this.resumeLeft
      this.resumeLeft = -1
    } else {
      at = this.size(data, start + header, end)
      if (at === MORE) return MORE
      left = this.value
    }
    for (; left > 0; left--) {
      const next = this.element(type, rdbVersion, data, at, end)
      if (next === MORE) {
        this.resumeAt = at - start
        this.resumeLeft = left
        return MORE
      }
      at = next
    }
    return at
  }

  /** Position after the elements of an array (Redis 8.8), or MORE. */
  private array(data: Buffer, start: number, end: number): number {
    let at = this.size(data, start, end)
    if (at === MORE) return MORE
    const count = this.value
    if ((at = this.length(data, at, end)) === MORE) return MORE
    if (this.value === 1 && (at = this.length(data, at, end)) === MORE) return MORE
    for (let left = count; left > 0; left--) {
      if ((at = this.lengths(data, at, end, 2)) === MORE) return MORE
      if (this.value > 3) throw rdbUnknown('an array', this.base + at, `an element of kind ${this.value}`)
      at = this.value === 0 || this.value === 3 ? this.string(data, at, end) : this.fixed(at, end, 8)
      if (at === MORE) return MORE
    }
    return at
  }

  /** Position after the field names of a template, whose number is `fieldCount` where they stand one by one, or MORE. */
  private templateFields(data: Buffer, start: number, end: number): number {
    const at = this.length(data, start, end)
    if (at === MORE) return MORE
    if (this.value > 1) throw rdbUnknown('a hash', this.base + start, `names of form ${this.value}`)
    if (this.value === 0) {
      const next = this.string(data, at, end)
      if (next !== MORE) this.fieldCount = listpackElements(decodeString(data, at, next, this)).length
      return next
    }
    const next = this.size(data, at, end)
    if (next === MORE) return MORE
    const count = this.value
    const names = this.strings(data, next, end, count)
    this.fieldCount = count
    return names
  }

  /** Position after a stream's nodes and the tail that follows them, or MORE. */
  private stream(type: number, data: Buffer, at: number, end: number): number {
    let next = this.size(data, at, end)
    if (next === MORE) return MORE
    next = this.strings(data, next, end, this.value * 2)
    return next === MORE ? MORE : this.streamTail(type, data, next, end)
  }

  private lengths(data: Buffer, at: number, end: number, count: number): number {
    for (let left = count; left > 0 && at !== MORE; left--) at = this.length(data, at, end)
    return at
  }

  /** Position after everything of a stream but its nodes, or MORE. */
  streamTail(type: number, data: Buffer, start: number, end: number): number {
    let at = this.lengths(data, start, end, type === RdbType.stream ? 3 : 8)
    if (at === MORE || (at = this.size(data, at, end)) === MORE) return MORE
    for (let groups = this.value; groups > 0; groups--) {
      at = this.string(data, at, end)
      if (at !== MORE) at = this.lengths(data, at, end, type === RdbType.stream ? 2 : 3)
      if (at === MORE || (at = this.size(data, at, end)) === MORE) return MORE
      for (let pending = this.value; pending > 0; pending--) {
        at = this.fixed(at, end, 24)
        if (at === MORE || (at = this.length(data, at, end)) === MORE) return MORE
      }
      if ((at = this.size(data, at, end)) === MORE) return MORE
      for (let consumers = this.value; consumers > 0; consumers--) {
        at = this.fixed(this.string(data, at, end), end, type === RdbType.stream || type === RdbType.stream2 ? 8 : 16)
        if (at === MORE || (at = this.size(data, at, end)) === MORE) return MORE
        at = this.fixed(at, end, this.value * 16)
        if (at === MORE) return MORE
      }
      if (type === RdbType.stream5) {
        if ((at = this.size(data, at, end)) === MORE) return MORE
        if ((at = this.fixed(at, end, this.value * 16)) === MORE) return MORE
      }
    }
    return hasProducers(type) ? this.producers(data, at, end) : at
  }

  /** Position after what makes XADD idempotent: limits, the ids that each producer gave, counters; or MORE. */
  private producers(data: Buffer, start: number, end: number): number {
    let at = this.lengths(data, start, end, 2)
    if (at === MORE || (at = this.size(data, at, end)) === MORE) return MORE
    for (let producers = this.value; producers > 0; producers--) {
      at = this.string(data, at, end)
      if (at === MORE || (at = this.size(data, at, end)) === MORE) return MORE
      for (let ids = this.value; ids > 0; ids--) {
        at = this.string(data, at, end)
        if (at === MORE || (at = this.lengths(data, at, end, 2)) === MORE) return MORE
      }
    }
    return this.lengths(data, at, end, 2)
  }

  /** Position after module opcodes up to their end mark, or MORE. */
  moduleOpcodes(data: Buffer, start: number, end: number): number {
    let at = start
    for (;;) {
      const opcodeAt = at
      at = this.length(data, at, end)
      if (at === MORE) return MORE
      switch (this.value) {
        case 0:
          return at
        case 1:
        case 2:
          at = this.length(data, at, end)
          break
        case 3:
          at = this.fixed(at, end, 4)
          break
        case 4:
          at = this.fixed(at, end, 8)
          break
        case 5:
          at = this.string(data, at, end)
          break
        default:
          throw rdbUnknown('module data', this.base + opcodeAt, `unknown module opcode ${this.value}`)
      }
      if (at === MORE) return MORE
    }
  }

  /** Position after the operands of an opcode that is skipped whole, or MORE. */
  operands(opcode: number, rdbVersion: number, data: Buffer, at: number, end: number): number {
    switch (opcode) {
      case Opcode.resizeDb:
        return this.lengths(data, at, end, 2)
      case Opcode.slotInfo:
        return this.lengths(data, at, end, 3)
      case Opcode.hashTemplate: {
        if (rdbVersion >= VALKEY_RDB_VERSION) break
        const next = this.length(data, at, end)
        const from = next === MORE ? MORE : this.size(data, next, end)
        return from === MORE ? MORE : this.strings(data, from, end, this.value)
      }
      case Opcode.aux:
        return this.strings(data, at, end, 2)
      case Opcode.function2:
        return this.string(data, at, end)
      case Opcode.moduleAux: {
        const next = this.lengths(data, at, end, 3)
        return next === MORE ? MORE : this.moduleOpcodes(data, next, end)
      }
      case Opcode.keyMeta: {
        if (rdbVersion >= VALKEY_RDB_VERSION) {
          let next = this.string(data, at, end)
          if (next === MORE || (next = this.size(data, next, end)) === MORE) return MORE
          return this.lengths(data, next, end, this.value * 2)
        }
        let next = this.size(data, at, end)
        if (next === MORE) return MORE
        for (let classes = this.value; classes > 0; classes--) {
          next = this.fixed(next, end, 4)
          if (next === MORE || (next = this.moduleOpcodes(data, next, end)) === MORE) return MORE
        }
        return next
      }
    }
    throw rdbUnknown('the key space', this.base + at - 1, `unknown opcode ${opcode}`)
  }
}
