import {
  MigrateError,
  PackedRecord,
  type SlicedValue,
  type SnapshotRecord,
  type ValueSlice,
} from '@ferrite-migrate/contracts'
import type { Block, ByteWindow } from './byte-window.js'
import { Crc64 } from './crc64.js'
import { doubleText } from './decimal.js'
import { LzfStream } from './lzf.js'
import { moduleName } from './module-name.js'
import { RdbCursor } from './rdb-cursor.js'
import { expiringField, listNode, streamNode, streamTail, templateHash } from './rdb-decode.js'
import { rdbCorrupt, rdbTruncated, rdbUnknown } from './rdb-error.js'
import { MORE, RdbScan } from './rdb-scan.js'
import { decodeString } from './rdb-string.js'
import { keyTypeOf, Opcode, RdbType, VALKEY_RDB_VERSION } from './rdb-type.js'

export interface RdbReaderOptions {
  /** Values above this many bytes come sliced. Default 16 MiB. */
  readonly sliceLimit?: number
  readonly batchRecords?: number
  readonly batchBytes?: number
  /** Check the trailer's CRC64 (costs a pass over all bytes). Default false. */
  readonly checksum?: boolean
  /** The window starts in the middle of an RDB, at a record's end that an earlier reading gave. Nothing is checked then. */
  readonly from?: RdbPlace
}

/** The end of a record in an RDB: enough to go on reading there. */
export interface RdbPlace {
  /** Bytes of the RDB before it. */
  readonly offset: number
  readonly db: number
  readonly version: number
}

export type RdbEvent =
  | { readonly kind: 'header'; readonly version: number; readonly valkey: boolean }
  | { readonly kind: 'aux'; readonly name: string; readonly value: Buffer }
  | { readonly kind: 'resize'; readonly db: number; readonly keys: number; readonly expires: number }
  | { readonly kind: 'function'; readonly source: Buffer }
  | { readonly kind: 'module-aux'; readonly module: string; readonly payload: Buffer }
  | {
      readonly kind: 'records'
      readonly records: SnapshotRecord[]
      readonly byteLength: number
      readonly block: Block
      /** Where the last record ends. */
      readonly place: RdbPlace
    }
  | { readonly kind: 'end'; readonly byteLength: number }

/** The largest number of a database. */
const MOST_DATABASE = 65_535
/** Values above this many bytes travel in slices, unless asked otherwise. */
export const SLICE_LIMIT = 8 << 20
const SLICE_BYTES = 512 << 10
const SLICE_ITEMS = 4096

/**
 * Reads an RDB from a window, up to and including its trailer, and leaves the window right after it. Records are
 * ranges of the window's blocks; each `records` event holds its block, which the receiver releases.
 * @throws MigrateError FM_RDB_TRUNCATED, FM_RDB_CORRUPT, FM_RDB_UNKNOWN with the byte offset; FM_RDB_CHECKSUM
 */
export class RdbReader {
  private readonly window: ByteWindow
  private readonly scan = new RdbScan()
  private readonly sliceLimit: number
  private readonly batchRecords: number
  private readonly batchBytes: number
  private readonly crc: Crc64 | null
  private crcFrom = 0
  private keys = 0
  private start = 0
  private version = 0
  private db = 0
  private place: RdbPlace = { offset: 0, db: 0, version: 0 }
  private readonly from: RdbPlace | null
  private slicesDone = true

  constructor(window: ByteWindow, options: RdbReaderOptions = {}) {
    this.window = window
    this.sliceLimit = options.sliceLimit ?? SLICE_LIMIT
    this.batchRecords = options.batchRecords ?? 1000
    this.batchBytes = options.batchBytes ?? 1 << 20
    this.crc = options.checksum && options.from === undefined ? new Crc64() : null
    this.from = options.from ?? null
  }

  /** Bytes of the RDB consumed so far. */
  get offset(): number {
    return this.window.offset() - this.start
  }

  async *read(): AsyncGenerator<RdbEvent> {
    try {
      yield* this.events()
    } catch (error) {
      if (!(error instanceof MigrateError) || !error.code.startsWith('FM_RDB_') || this.keys === 0) throw error
      throw new MigrateError(error.code, `${error.message}; ${this.keys} keys were read before`, error.hint, {
        cause: error,
      })
    }
  }

  private async *events(): AsyncGenerator<RdbEvent> {
    const window = this.window
    this.start = window.offset()
    this.crcFrom = window.pos
    if (this.from === null) yield await this.header()
    else {
      this.start -= this.from.offset
      this.version = this.from.version
      this.db = this.from.db
      yield { kind: 'header', version: this.version, valkey: this.version >= VALKEY_RDB_VERSION }
    }

    let batch: SnapshotRecord[] = []
    let batchFrom = this.offset
    let expireAt = 0
    const flush = (): RdbEvent => {
      const event: RdbEvent = {
        kind: 'records',
        records: batch,
        byteLength: this.offset - batchFrom,
        block: window.retain(),
        place: this.place,
      }
      batch = []
      batchFrom = this.offset
      return event
    }
    for (;;) {
      // The synchronous heart: as many whole records as the window holds.
      let incomplete = ''
      let opcode = -1
      let next = MORE
      const data = window.data
      const end = window.end
      const shift = window.offset(0) - this.start
      this.scan.base = shift
      let at = window.pos
      let lastEnd = -1
      const had = batch.length
      let lastDb = this.db
      while (batch.length < this.batchRecords && shift + at - batchFrom < this.batchBytes) {
        const code = at < end ? data[at] : MORE
        if (code === MORE) {
          incomplete = 'the key space'
          break
        }
        if (code < Opcode.hashTemplate || (code === Opcode.hashTemplate && this.version >= VALKEY_RDB_VERSION)) {
          const keyEnd = this.scan.string(data, at + 1, end)
          next = keyEnd === MORE ? MORE : this.scan.body(code, this.version, data, keyEnd, end)
          if (next === MORE) {
            incomplete = keyEnd === MORE ? 'a key' : 'a value'
            break
          }
          batch.push(this.record(expireAt, data, at, keyEnd, next, code))
          lastEnd = next
          lastDb = this.db
          expireAt = 0
        } else if (code === Opcode.expireTimeMs || code === Opcode.expireTime) {
          next = at + (code === Opcode.expireTime ? 5 : 9)
          if (next > end) {
            incomplete = 'an expiry'
            break
          }
          expireAt =
            code === Opcode.expireTime
              ? data.readInt32LE(at + 1) * 1000
              : data.readUInt32LE(at + 1) + data.readInt32LE(at + 5) * 4294967296
          // 0 stands for none here: an end before 1970 has passed as well as one a moment later.
          if (expireAt <= 0) expireAt = 1
        } else if (code === Opcode.eof) {
          opcode = code
          break
        } else {
          next = this.operands(code, data, at + 1, end)
          if (next === MORE) {
            incomplete = 'an opcode'
            break
          }
          if (code === Opcode.selectDb) {
            if (this.scan.value > MOST_DATABASE)
              throw rdbCorrupt('the key space', shift + at, `${this.scan.value} is no database`)
            this.db = this.scan.value
          } else if (code === Opcode.hashTemplate) this.template(data, at + 1, next)
          else if (
            code >= Opcode.function2 &&
            code <= Opcode.resizeDb &&
            code !== Opcode.idle &&
            code !== Opcode.freq
          ) {
            opcode = code
            break
          }
        }
        at = next
      }
      window.pos = at
      this.keys += batch.length - had
      if (lastEnd >= 0) this.place = { offset: shift + lastEnd, db: lastDb, version: this.version }
      this.digest()
      if (opcode === Opcode.eof) {
        if (batch.length > 0) yield flush()
        yield* this.trailer()
        return
      }
      if (opcode !== -1) {
        if (batch.length > 0) yield flush()
        yield this.metadata(opcode, data, at + 1, next)
        window.pos = next
        this.digest()
        batchFrom = this.offset
        continue
      }
      if (incomplete === '') {
        yield flush()
        continue
      }
      if (incomplete === 'a value' && window.end - window.pos > this.sliceLimit) {
        const sliced = this.slicedRecord(expireAt)
        if (sliced !== null) {
          if (batch.length > 0) yield flush()
          this.keys++
          yield { kind: 'records', records: [sliced], byteLength: 0, block: window.retain(), place: this.place }
          if (!this.slicesDone)
            throw new MigrateError(
              'FM_CONTRACT',
              'a sliced value was not read to its end',
              'Report this against the target adapter.',
            )
          this.digest()
          expireAt = 0
          this.place = { offset: this.offset, db: this.db, version: this.version }
          yield flush()
          continue
        }
      }
      if (window.full && batch.length > 0) yield flush()
      if (!(await window.more(this.sliceLimit))) throw rdbTruncated(incomplete, this.offset)
      this.crcFrom = window.pos
    }
  }

  private digest(): void {
    if (this.crc === null) return
    this.crc.update(this.window.data, this.crcFrom, this.window.pos)
    this.crcFrom = this.window.pos
  }

  private async more(element: string): Promise<void> {
    this.digest()
    if (!(await this.window.more())) throw rdbTruncated(element, this.offset)
    this.crcFrom = this.window.pos
  }

  private async header(): Promise<RdbEvent> {
    const window = this.window
    while (window.end - window.pos < 9) {
      if (window.end > window.pos && window.data[window.pos] !== 0x52 && window.data[window.pos] !== 0x56) break
      await this.more('the header')
    }
    const text = window.data.toString('latin1', window.pos, Math.min(window.end, window.pos + 9))
    const match = /^(?:REDIS(\d{4})|VALKEY(\d{3}))$/.exec(text)
    if (!match) throw rdbCorrupt('the header', 0, 'neither REDIS nor VALKEY and a version')
    this.version = Number(match[1] ?? match[2])
    if (this.version === 0) throw rdbUnknown('the header', 5, 'version 0')
    window.pos += 9
    this.digest()
    return { kind: 'header', version: this.version, valkey: match[1] === undefined }
  }

  private record(
    expireAt: number,
    data: Buffer,
    at: number,
    keyEnd: number,
    valueEnd: number,
    type: number,
  ): SnapshotRecord {
    if (type === RdbType.templatePackRef || type === RdbType.templateHashRef)
      return {
        db: this.db,
        expireAt,
        key: Buffer.from(decodeString(data, at + 1, keyEnd, this.scan)),
        value: templateHash(type, new RdbCursor(data, keyEnd, valueEnd), this.scan.templates),
      }
    const byte = data[at + 1]
    const keyStart = byte < 0x40 ? at + 2 : byte < 0x80 ? at + 3 : -1
    if (keyStart >= 0)
      return new PackedRecord(this.db, expireAt, data, keyStart, keyEnd, keyEnd, valueEnd, type, this.version)
    // An integer or compressed key exists nowhere as bytes: make it.
    return {
      db: this.db,
      expireAt,
      key: decodeString(data, at + 1, keyEnd, this.scan),
      value: { form: 'rdb', type, body: data.subarray(keyEnd, valueEnd), rdbVersion: this.version },
    }
  }

  private template(data: Buffer, start: number, end: number): void {
    const cursor = new RdbCursor(data, start, end)
    const id = cursor.length()
    const fields: Buffer[] = []
    for (let left = cursor.count(1, 'a template'); left > 0; left--) fields.push(Buffer.from(cursor.string()))
    this.scan.templates.set(id, fields)
  }

  private operands(code: number, data: Buffer, at: number, end: number): number {
    if (code === Opcode.selectDb || code === Opcode.idle) return this.scan.length(data, at, end)
    if (code === Opcode.freq) return at + 1 > end ? MORE : at + 1
    return this.scan.operands(code, this.version, data, at, end)
  }

  private metadata(code: number, data: Buffer, at: number, end: number): RdbEvent {
    const cursor = new RdbCursor(data, at, end)
    switch (code) {
      case Opcode.aux:
        return { kind: 'aux', name: cursor.string().toString('latin1'), value: Buffer.from(cursor.string()) }
      case Opcode.resizeDb:
        return { kind: 'resize', db: this.db, keys: cursor.length(), expires: cursor.length() }
      case Opcode.function2:
        return { kind: 'function', source: Buffer.from(cursor.string()) }
      case Opcode.functionPreRelease:
        throw rdbUnknown('functions', this.offset, 'a function of a 7.0 release candidate')
      default: {
        const id = data[at] === 0x81 ? moduleName(data.readUInt32BE(at + 1), data.readUInt32BE(at + 5)) : '?'
        return { kind: 'module-aux', module: id, payload: Buffer.from(data.subarray(at, end)) }
      }
    }
  }

  private async *trailer(): AsyncGenerator<RdbEvent> {
    const window = this.window
    window.pos += 1
    this.digest()
    if (this.version >= 5) {
      while (window.end - window.pos < 8) await this.more('the trailer')
      const stored = window.data.subarray(window.pos, window.pos + 8)
      if (this.crc && stored.some((byte) => byte !== 0) && !this.crc.equals(stored, 0))
        throw new MigrateError(
          'FM_RDB_CHECKSUM',
          `the checksum of the RDB does not match its ${this.offset} bytes`,
          'Take the dump again: bytes were changed on the way.',
        )
      window.pos += 8
      this.crcFrom = window.pos
    }
    yield { kind: 'end', byteLength: this.offset }
  }

  /** The record at the window's position, its value as slices; null when its type cannot be sliced. */
  private slicedRecord(expireAt: number): SnapshotRecord | null {
    const { data, pos, end } = this.window
    const type = data[pos]
    const keyEnd = this.scan.string(data, pos + 1, end)
    const keyType = keyTypeOf(type, this.version)
    const whole =
      (type >= RdbType.modulePreRelease && type <= RdbType.hashZiplist) ||
      [
        RdbType.hashListpack,
        RdbType.zsetListpack,
        RdbType.setListpack,
        RdbType.hashListpackExPreRelease,
        RdbType.hashListpackEx,
        RdbType.templatePack,
        RdbType.templatePackRef,
        RdbType.templateHash,
        RdbType.templateHashRef,
      ].includes(type as 16)
    if (whole || keyType === undefined || keyType === 'module') return null
    const key = Buffer.from(decodeString(data, pos + 1, keyEnd, this.scan))
    this.window.pos = keyEnd
    this.digest()
    this.scan.forget()
    this.slicesDone = false
    const value: SlicedValue = { form: 'sliced', type: keyType, slices: this.slices(type) }
    return { db: this.db, key, value, expireAt }
  }

  /** Consumes one thing; `skip` says where it ends. Gives a cursor over it. */
  private async take(element: string, skip: (data: Buffer, at: number, end: number) => number): Promise<RdbCursor> {
    const window = this.window
    for (;;) {
      this.scan.base = window.offset(0) - this.start
      const next = skip(window.data, window.pos, window.end)
      if (next !== MORE && next <= window.end) {
        const cursor = new RdbCursor(window.data, window.pos, next)
        window.pos = next
        return cursor
      }
      await this.more(element)
    }
  }

  private async *slices(type: number): AsyncGenerator<ValueSlice> {
    const window = this.window
    const scan = this.scan
    const length = async (): Promise<number> =>
      (await this.take('a length', (d, a, e) => scan.length(d, a, e))).length()
    if (type === RdbType.string) yield* this.stringSlices()
    else {
      const base = type === RdbType.hashMeta ? (await this.take('a time', (_d, a) => a + 8)).time() : 0
      const stream = keyTypeOf(type, this.version) === 'stream'
      const form = this.version >= VALKEY_RDB_VERSION ? 'valkey' : type === RdbType.hashMeta ? 'relative' : 'absolute'
      const expiring = type === RdbType.hashMeta || type === RdbType.valkeyHash2
      let left = await length()
      while (left > 0) {
        const items: Buffer[] = []
        const entries: ReturnType<typeof streamNode> = []
        const fieldExpireAt: number[] = []
        const held: Block[] = [window.retain()]
        let bytes = 0
        for (; left > 0 && bytes < SLICE_BYTES && items.length < SLICE_ITEMS; left--) {
          const from = this.offset
          const block = window.data
          const cursor = await this.take('a value', (d, a, e) => this.element(type, d, a, e))
          if (window.data !== block) held.push(window.retain())
          bytes += this.offset - from
          if (stream) for (const entry of streamNode(cursor)) entries.push(entry)
          else if (expiring) fieldExpireAt.push(expiringField(cursor, form, base, items))
          else if (type === RdbType.listQuicklist || type === RdbType.listQuicklist2)
            for (const item of listNode(type, cursor)) items.push(item)
          else {
            items.push(cursor.string())
            if (type === RdbType.hash) items.push(cursor.string())
            else if (type === RdbType.zset) items.push(doubleText(cursor.asciiDouble()))
            else if (type === RdbType.zset2) items.push(doubleText(cursor.double()))
          }
        }
        this.digest()
        yield stream ? { items, entries } : expiring ? { items, fieldExpireAt } : { items }
        for (const block of held) block.release()
      }
      if (stream) {
        const tail = await this.take('a stream', (d, a, e) => scan.streamTail(type, d, a, e))
        yield { items: [], stream: streamTail(type, tail) }
      }
    }
    this.slicesDone = true
  }

  private element(type: number, data: Buffer, at: number, end: number): number {
    if (keyTypeOf(type, this.version) === 'stream') {
      const next = this.scan.string(data, at, end)
      return next === MORE ? MORE : this.scan.string(data, next, end)
    }
    return this.scan.element(type, this.version, data, at, end)
  }

  private async *stringSlices(): AsyncGenerator<ValueSlice> {
    const window = this.window
    while (window.end === window.pos) await this.more('a string')
    const first = window.data[window.pos]
    const compressed = first === 0xc3
    if (first >= 0xc0 && !compressed) {
      const whole = await this.take('a string', (d, a, e) => this.scan.string(d, a, e))
      yield { items: [whole.string()] }
      return
    }
    const size = async (): Promise<number> =>
      (await this.take('a length', (d, a, e) => this.scan.length(d, a, e))).length()
    if (compressed) window.pos += 1
    let left = await size()
    const length = compressed ? await size() : left
    this.digest()
    const lzf = compressed ? new LzfStream() : null
    while (left > 0) {
      while (window.end === window.pos) await this.more('a string')
      const count = Math.min(left, window.end - window.pos, SLICE_BYTES)
      left -= count
      const piece = window.data.subarray(window.pos, window.pos + count)
      window.pos += count
      this.digest()
      yield { items: [lzf ? lzf.push(piece, left === 0) : piece] }
    }
    if (lzf && lzf.produced !== length)
      throw rdbCorrupt('a compressed string', this.offset, `${lzf.produced} bytes where ${length} were announced`)
  }
}
