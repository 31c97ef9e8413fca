import { type KeyType, PackedRecord, type SnapshotRecord } from '@ferrite-migrate/contracts'
import { lzfBound } from './lzf.js'
import { moduleName } from './module-name.js'
import { listpackElements } from './packed.js'
import { RdbCursor } from './rdb-cursor.js'
import { rdbCorrupt } from './rdb-error.js'
import { MORE, RdbScan } from './rdb-scan.js'
import { keyTypeOf, RdbType, rdbTypeName, VALKEY_RDB_VERSION } from './rdb-type.js'

const HEAD_BYTES = 16

/**
 * What can be told of a raw value without decoding it: its type, its size inflated, its number of elements, and how it
 * begins. One instance looks at one record after the other; nothing is allocated per record.
 */
export class RecordFacts {
  keyType: KeyType | undefined
  /** The RDB value type. */
  type = 0
  /** Bytes of the value as it lies in the file. */
  byteLength = 0
  /** The same with every compressed string inflated. */
  inflatedLength = 0
  elements = 0
  /** A string that is a HyperLogLog. */
  hyperLogLog = false
  private readonly scan = new RdbScan()
  private readonly head = Buffer.alloc(HEAD_BYTES)
  private data: Buffer = Buffer.alloc(0)
  private next = 0
  private stringLength = 0

  /** @throws MigrateError FM_RDB_CORRUPT */
  look(record: SnapshotRecord): void {
    if (record instanceof PackedRecord)
      this.lookAt(record.type, record.rdbVersion, record.data, record.valueStart, record.valueEnd)
    else if (record.value.form === 'rdb')
      this.lookAt(record.value.type, record.value.rdbVersion, record.value.body, 0, record.value.body.length)
  }

  lookAt(type: number, rdbVersion: number, data: Buffer, start: number, end: number): void {
    this.type = type
    this.keyType = keyTypeOf(type, rdbVersion)
    this.byteLength = end - start
    this.inflatedLength = end - start
    this.elements = 1
    this.hyperLogLog = false
    this.data = data
    switch (type) {
      case RdbType.string:
        this.string(start, end)
        this.hyperLogLog = this.stringLength >= 16 && this.begins('HYLL')
        return
      case RdbType.hashZipmap:
      case RdbType.hashZiplist:
      case RdbType.hashListpack:
      case RdbType.zsetZiplist:
      case RdbType.zsetListpack:
        this.string(start, end)
        this.elements = this.packedCount(type) >> 1
        return
      case RdbType.listZiplist:
      case RdbType.setListpack:
      case RdbType.setIntset:
        this.string(start, end)
        this.elements = this.packedCount(type)
        return
      case RdbType.hashListpackEx:
      case RdbType.hashListpackExPreRelease:
        this.string(type === RdbType.hashListpackEx ? start + 8 : start, end)
        this.elements = Math.floor(this.packedCount(RdbType.hashListpack) / 3)
        return
      case RdbType.listQuicklist:
      case RdbType.listQuicklist2:
        this.quicklist(type, start, end)
        return
      case RdbType.module2:
      case RdbType.rateLimit:
      case RdbType.templatePackRef:
      case RdbType.templateHashRef:
        return
      case RdbType.array:
        this.size(start, end)
        this.elements = this.scan.value
        return
      case RdbType.templatePack:
      case RdbType.templateHash: {
        const cursor = new RdbCursor(data, start, end)
        this.elements = cursor.length() === 0 ? listpackElements(cursor.string()).length : cursor.length()
        return
      }
      default:
        this.collection(type, start, end, rdbVersion >= VALKEY_RDB_VERSION)
    }
  }

  private size(at: number, end: number): number {
    const next = this.scan.length(this.data, at, end)
    if (next === MORE) throw rdbCorrupt('a value', at, 'it ends inside a length')
    return next
  }

  /** Looks at one string: its inflated length, and its first bytes in `head`. */
  private string(at: number, end: number): void {
    const { data, scan } = this
    const byte = data[at]
    if (byte < 0xc0) {
      const from = this.size(at, end)
      this.stringLength = scan.value
      this.next = from + scan.value
      if (this.next > end) throw rdbCorrupt('a string', at, 'it is cut')
      data.copy(this.head, 0, from, Math.min(this.next, from + HEAD_BYTES))
    } else if (byte === 0xc3) {
      let from = this.size(at + 1, end)
      const compressed = scan.value
      from = this.size(from, end)
      this.stringLength = scan.value
      this.next = from + compressed
      if (this.next > end || this.stringLength > lzfBound(compressed))
        throw rdbCorrupt('a compressed string', at, 'it announces an impossible length')
      this.inflatedLength += this.stringLength - compressed
      this.inflateHead(from, this.next)
    } else {
      this.next = at + (byte === 0xc0 ? 2 : byte === 0xc1 ? 3 : 5)
      this.stringLength = this.next - at - 1
      this.head.fill(0)
    }
  }

  /** The first bytes of a compressed string: as much of LZF as they need. */
  private inflateHead(from: number, end: number): void {
    const { data, head } = this
    const want = Math.min(HEAD_BYTES, this.stringLength)
    let to = 0
    let at = from
    while (to < want && at < end) {
      const control = data[at++]
      if (control < 32) for (let left = control + 1; left > 0 && to < want && at < end; left--) head[to++] = data[at++]
      else {
        let count = (control >>> 5) + 2
        if (count === 9) count += data[at++]
        let back = to - ((control & 31) << 8) - data[at++] - 1
        if (back < 0) throw rdbCorrupt('a compressed string', from, 'a match points outside')
        for (; count > 0 && to < want; count--) head[to++] = head[back++]
      }
    }
  }

  private begins(text: string): boolean {
    for (let i = 0; i < text.length; i++) if (this.head[i] !== text.charCodeAt(i)) return false
    return true
  }

  /** Elements of the packed blob that `string` looked at; of one whose header does not say, an estimate by size. */
  private packedCount(type: number): number {
    const { head } = this
    if (type === RdbType.setIntset) return head.readUInt32LE(4)
    if (type === RdbType.hashZipmap) return head[0] < 254 ? head[0] * 2 : this.estimate()
    const ziplist = type === RdbType.hashZiplist || type === RdbType.zsetZiplist || type === RdbType.listZiplist
    const count = head.readUInt16LE(ziplist ? 8 : 4)
    return count === 65535 ? this.estimate() : count
  }

  private estimate(): number {
    return Math.max(65535, Math.floor(this.stringLength / 11))
  }

  private quicklist(type: number, start: number, end: number): void {
    let at = this.size(start, end)
    this.elements = 0
    for (let left = this.scan.value; left > 0; left--) {
      let plain = false
      if (type === RdbType.listQuicklist2) {
        at = this.size(at, end)
        plain = this.scan.value === 1
      }
      this.string(at, end)
      this.elements += plain
        ? 1
        : this.packedCount(type === RdbType.listQuicklist ? RdbType.listZiplist : RdbType.setListpack)
      at = this.next
    }
  }

  private collection(type: number, start: number, end: number, valkey: boolean): void {
    const { scan } = this
    if (this.keyType === 'stream') {
      let at = this.size(start, end)
      for (let left = scan.value * 2; left > 0; left--) {
        this.string(at, end)
        at = this.next
      }
      this.size(at, end)
      this.elements = scan.value
      return
    }
    let at = this.size(type === RdbType.hashMeta ? start + 8 : start, end)
    this.elements = scan.value
    const each = type === RdbType.hash || type === RdbType.hashMeta || type === RdbType.valkeyHash2 ? 2 : 1
    for (let left = this.elements; left > 0; left--) {
      if (type === RdbType.hashMeta || (type === RdbType.hashMetaPreRelease && !valkey)) at = this.size(at, end)
      for (let part = 0; part < each; part++) {
        this.string(at, end)
        at = this.next
      }
      if (type === RdbType.zset2 || (type === RdbType.valkeyHash2 && valkey)) at += 8
      else if (type === RdbType.zset) at += this.data[at] >= 253 ? 1 : 1 + this.data[at]
    }
  }

  /** The module that a module value belongs to. */
  moduleOf(record: SnapshotRecord): string {
    const { value } = record
    if (value.form === 'rdb' && value.type !== RdbType.module2) return rdbTypeName(value.type)
    if (value.form !== 'rdb' || value.body[0] !== 0x81) return '?'
    return moduleName(value.body.readUInt32BE(1), value.body.readUInt32BE(5))
  }
}
