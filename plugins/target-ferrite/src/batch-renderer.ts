import {
  type ConflictPolicy,
  type DecodedValue,
  type DirtyKey,
  type ItemsValue,
  MigrateError,
  type NotCarried,
  PackedRecord,
  type RdbValue,
  type SnapshotRecord,
} from '@ferrite-migrate/contracts'
import {
  decodeValue,
  FerriteTranscoder,
  integerText,
  isOpaque,
  isUnknownType,
  lzfBound,
  lzfDecompressInto,
  RdbScan,
  type RespWriter,
  rdbTypeName,
  writeFerritePayload,
  writeRestorePayload,
  writeTyped,
} from '@ferrite-migrate/protocol'
import { temporaryPrefix } from '@ferrite-migrate/redis'
import type { Abilities } from './probe.js'
import type { RequestLimits } from './request-limits.js'

/** What a reply answers: a record by its index, a group of records (MSET), or nothing that needs an answer. */
export const NOBODY = -1

export interface Staged {
  readonly index: number
  readonly temporary: string
}

const MSET_PAIRS = 200
const MSET_BYTES = 1 << 20
/** Compressed strings up to this size are cheaper for both ends as plain ones; longer ones stay compressed. */
const INFLATE_BELOW = 4096
const DELETE_KEYS = 500
const HYLL = Buffer.from('HYLL')
/** What becomes of a value that the target cannot hold as it is. */
export type UnsupportedPolicy = 'fail' | 'skip' | 'degrade'

export interface RendererOptions {
  /** Clock of the target minus the clock here, ms. */
  readonly clockSkewMs: number
  readonly migration: string | undefined
  readonly unsupported: UnsupportedPolicy
  readonly limits: RequestLimits
}

/** A transaction: EXEC is the reply of this index, and answers for so many commands when it ran. */
export interface Transaction {
  readonly index: number
  readonly commands: number
}

const HLL = 'hyperloglog'
const HLL_COPIED = 'hyperloglog (copied as a string)'
const transcoder = new FerriteTranscoder()
let serial = 0

/** Names for values under construction; hidden from every report by their prefix. */
export function temporaryName(migration: string | undefined): string {
  return `${temporaryPrefix(migration)}${process.pid}:${Date.now().toString(36)}:${serial++}`
}

/**
 * Turns records of one database, which is selected already, into commands in the dialect that the probes found. After `render`, `owners` tells for each reply which
 * record it answers (`groups[-2 - owner]` for MSET), and `staged` which records are under a temporary name that a second
 * step has to put in place.
 */
export class BatchRenderer {
  readonly owners: number[] = []
  readonly groups: number[][] = []
  readonly staged: Staged[] = []
  readonly transactions: Transaction[] = []
  /** Bytes of the largest value, where it is worth a mention. */
  largest = 0
  /** Records with a time to live that only the replies tell to be ours: `end` is to be called for those. */
  readonly inexact: number[] = []
  readonly notCarried: NotCarried[] = []
  /** Records that are not written: expired before they could be, or left out. */
  expired = 0
  private readonly able: Abilities
  private readonly out: RespWriter
  private readonly options: RendererOptions
  private readonly scan = new RdbScan()

  constructor(able: Abilities, out: RespWriter, options: RendererOptions) {
    this.able = able
    this.out = out
    this.options = options
  }

  deletes(keys: readonly DirtyKey[]): void {
    for (let from = 0; from < keys.length; ) {
      const to = Math.min(keys.length, from + DELETE_KEYS)
      this.out.command(1 + to - from)
      this.out.text('DEL')
      for (; from < to; from++) this.out.bytes(keys[from].key)
      this.owners.push(NOBODY)
    }
  }

  /**
   * Appends the records. `typedOnly` holds indexes whose payload the target refused before.
   */
  render(records: readonly SnapshotRecord[], onConflict: ConflictPolicy, typedOnly: ReadonlySet<number>): void {
    const now = Date.now() + this.options.clockSkewMs
    const most = this.options.limits.value
    const plain: number[] = []
    for (let index = 0; index < records.length; index++) {
      const record = records[index]
      if (record.expireAt > 0 && record.expireAt <= now) {
        this.expired++
        if (onConflict === 'replace') this.deletes([{ db: record.db, key: record.key }])
        continue
      }
      if (record instanceof PackedRecord) {
        const bytes = record.valueEnd - record.valueStart
        if (bytes > this.largest) this.largest = bytes
        if (bytes > most && this.inPieces(record, index, onConflict)) continue
      }
      if (this.able.rendering === 'restore' && record instanceof PackedRecord && !typedOnly.has(index)) {
        const { type } = record
        if (
          type === 0 &&
          (record.data[record.valueStart] < 0xc3 || record.valueEnd - record.valueStart < INFLATE_BELOW)
        ) {
          if (record.expireAt === 0 && onConflict === 'replace') {
            plain.push(index)
            continue
          }
          if (record.expireAt === 0 || this.able.setPxat) {
            this.set(record, index, onConflict)
            continue
          }
        }
        if (this.able.rdbTypes.has(type) && (type < 22 || record.rdbVersion >= 80 === this.able.rdbVersion >= 80)) {
          this.restore(record, index, onConflict, now)
          continue
        }
      }
      if (this.able.rendering === 'ferrite-restore' && record instanceof PackedRecord) {
        if (this.ferritePacked(record, index, onConflict, now)) continue
      }
      this.other(record, index, onConflict, now, typedOnly.has(index))
    }
    this.msets(records, plain)
  }

  /** Strings without expiry, many a command: one reply for all of them. */
  private msets(records: readonly SnapshotRecord[], plain: readonly number[]): void {
    for (let from = 0; from < plain.length; ) {
      let to = from
      for (let bytes = 0; to < plain.length && to - from < MSET_PAIRS && bytes < MSET_BYTES; to++) {
        const { keyStart, keyEnd, valueStart, valueEnd } = records[plain[to]] as PackedRecord
        bytes += keyEnd - keyStart + valueEnd - valueStart
      }
      const out = this.out
      out.command(1 + 2 * (to - from))
      out.text('MSET')
      const group: number[] = []
      for (; from < to; from++) {
        const record = records[plain[from]] as PackedRecord
        group.push(plain[from])
        out.range(record.keyData, record.keyStart, record.keyEnd)
        this.stringValue(record)
      }
      this.groups.push(group)
      this.owners.push(-1 - this.groups.length)
    }
  }

  /** The argument with the bytes of a string that is plain or an integer. */
  private stringValue(record: PackedRecord): void {
    const { data, valueStart, valueEnd } = record
    const byte = data[valueStart]
    if (byte < 0x40) this.out.range(data, valueStart + 1, valueEnd)
    else if (byte < 0x80) this.out.range(data, valueStart + 2, valueEnd)
    else if (byte === 0x80) this.out.range(data, valueStart + 5, valueEnd)
    else if (byte === 0x81) this.out.range(data, valueStart + 9, valueEnd)
    else if (byte === 0xc3) this.inflated(data, valueStart, valueEnd)
    else this.out.bytes(integerText(data.readIntLE(valueStart + 1, byte === 0xc0 ? 1 : byte === 0xc1 ? 2 : 4)))
  }

  private inflated(data: Buffer, start: number, end: number): void {
    const { scan, out } = this
    let at = scan.length(data, start + 1, end)
    at = scan.length(data, at, end)
    const length = scan.value
    if (length > lzfBound(end - at))
      throw new MigrateError(
        'FM_RDB_LZF',
        'a compressed string announces an impossible length',
        'Take the dump again from the source.',
      )
    out.header(length)
    lzfDecompressInto(data, at, end, out.data, out.at, length)
    out.crlf(out.at + length)
  }

  private set(record: PackedRecord, index: number, onConflict: ConflictPolicy): void {
    const out = this.out
    const unless = onConflict !== 'replace'
    out.command(3 + (record.expireAt > 0 ? 2 : 0) + (unless ? 1 : 0))
    out.text('SET')
    out.range(record.keyData, record.keyStart, record.keyEnd)
    this.stringValue(record)
    if (record.expireAt > 0) {
      out.text('PXAT')
      out.integer(record.expireAt)
    }
    if (unless) out.text('NX')
    this.owners.push(index)
  }

  private restore(record: PackedRecord, index: number, onConflict: ConflictPolicy, now: number): void {
    const out = this.out
    const replace = onConflict === 'replace'
    const absolute = record.expireAt > 0 && this.able.absoluteRestore
    out.command(4 + (replace ? 1 : 0) + (absolute ? 1 : 0))
    out.text('RESTORE')
    out.range(record.keyData, record.keyStart, record.keyEnd)
    out.integer(record.expireAt === 0 ? 0 : absolute ? record.expireAt : record.expireAt - now)
    writeRestorePayload(out, record.type, record.data, record.valueStart, record.valueEnd, this.able.rdbVersion)
    if (replace) out.text('REPLACE')
    if (absolute) out.text('ABSTTL')
    this.owners.push(index)
    if (!absolute) this.exactEnd(record, index, replace)
  }

  /**
   * A time to live counts from when the target comes to the command, which may be seconds after it was sent:
   * the end itself is told behind it, unless the key may not be ours, which only the replies tell.
   */
  private exactEnd(record: SnapshotRecord, index: number, ours: boolean): void {
    if (record.expireAt === 0) return
    if (!ours) {
      this.inexact.push(index)
      return
    }
    this.end(record, index)
  }

  /** Appends PEXPIREAT with the end of a record. */
  end(record: SnapshotRecord, index: number): void {
    const { out } = this
    this.owners.push(index)
    out.command(3)
    out.text('PEXPIREAT')
    if (record instanceof PackedRecord) out.range(record.keyData, record.keyStart, record.keyEnd)
    else out.bytes(record.key)
    out.integer(record.expireAt)
  }

  /** Everything that is not a packed record of a type that the target takes raw. */
  private other(
    record: SnapshotRecord,
    index: number,
    onConflict: ConflictPolicy,
    now: number,
    typedOnly: boolean,
  ): void {
    const { able } = this
    const { value } = record
    if (value.form === 'sliced') return
    if (
      value.form === 'rdb' &&
      !typedOnly &&
      able.rendering === 'restore' &&
      able.rdbTypes.has(value.type) &&
      (value.type < 22 || value.rdbVersion >= 80 === able.rdbVersion >= 80)
    ) {
      this.restore(packed(record, value), index, onConflict, now)
      return
    }
    if (value.form === 'rdb' && isOpaque(value.type, value.rdbVersion)) {
      // Only the same module, or a newer server, can read it: RESTORE decides, and refuses by key.
      const module = value.type === 6 || value.type === 7
      const unknown = isUnknownType(value.type, value.rdbVersion)
      if (able.rendering === 'restore' && !typedOnly && (module || unknown))
        this.restore(packed(record, value), index, onConflict, now)
      else {
        this.leaveOut(module ? 'module-value' : `value of type ${rdbTypeName(value.type)}`, record)
        this.expired++
      }
      return
    }
    const decoded = value.form === 'rdb' ? decodeValue(value.type, value.body, value.rdbVersion) : value
    if (!this.report(record, decoded)) return
    if (value.form === 'rdb' && value.body.length > this.options.limits.value) {
      this.typed(record, decoded, index, onConflict, true)
      return
    }
    if (able.rendering === 'ferrite-restore' && decoded.form === 'items')
      this.ferrite(record, decoded, index, onConflict, now)
    else this.typed(record, decoded, index, onConflict)
  }

  /** A value that the target does not take in one request. False when it cannot be divided: only RESTORE can tell. */
  private inPieces(record: PackedRecord, index: number, onConflict: ConflictPolicy): boolean {
    const { value } = record
    if (value.form !== 'rdb' || isOpaque(value.type, value.rdbVersion)) return false
    const decoded = decodeValue(value.type, value.body, value.rdbVersion)
    if (this.report(record, decoded)) this.typed(record, decoded, index, onConflict, true)
    return true
  }

  /** Notes what is lost of a key. @throws MigrateError FM_UNSUPPORTED when nothing may be */
  private leaveOut(what: string, { db, key }: SnapshotRecord): void {
    if (this.options.unsupported === 'fail')
      throw new MigrateError(
        'FM_UNSUPPORTED',
        `the target cannot hold the ${what} of ${key.toString('latin1').slice(0, 100)}`,
        'Give --unsupported skip to leave such keys out, or degrade to carry what can be carried.',
      )
    this.notCarried.push({ what, db, key: Buffer.from(key) })
  }

  /** False when the key is left out for what the target cannot hold of it. */
  private report(record: SnapshotRecord, decoded: DecodedValue): boolean {
    const before = this.notCarried.length
    const leaveOut = (what: string): void => this.leaveOut(what, record)
    if (decoded.form === 'items') {
      if (decoded.fieldExpireAt !== undefined && !this.able.fieldExpiry) leaveOut('hash-field-ttl')
      if (
        decoded.type === 'string' &&
        !this.able.hyperLogLog &&
        decoded.items[0].length >= 16 &&
        HYLL.compare(decoded.items[0], 0, 4) === 0
      )
        leaveOut(this.options.unsupported === 'degrade' ? HLL_COPIED : HLL)
    } else if (decoded.producers !== undefined)
      this.notCarried.push({ what: 'stream-producers', db: record.db, key: Buffer.from(record.key) })
    else if (
      decoded.entriesAdded !== '-1' &&
      !this.able.xsetidCounters &&
      decoded.entriesAdded !== String(decoded.entries.length)
    )
      // Counters are told of a stream, not of its contents: no policy leaves a stream out for them.
      this.notCarried.push({ what: 'stream-counters', db: record.db, key: Buffer.from(record.key) })
    if (decoded.form === 'stream' || this.notCarried.length === before || this.options.unsupported !== 'skip')
      return true
    this.expired++
    return false
  }

  /** The same as `ferrite` for what need not be decoded; false = it must be. */
  private ferritePacked(record: PackedRecord, index: number, onConflict: ConflictPolicy, now: number): boolean {
    const { out } = this
    const { data, valueStart, valueEnd, type } = record
    const replace = onConflict === 'replace'
    const ttl = record.expireAt === 0 ? 0 : record.expireAt - now
    const start = out.at
    if (type === 0) {
      out.command(3 + (ttl > 0 ? 2 : 0) + (replace ? 0 : 1))
      out.text('SET')
      out.range(record.keyData, record.keyStart, record.keyEnd)
      const header = out.at
      this.stringValue(record)
      const value = out.data.indexOf(10, header) + 1
      if (!this.able.hyperLogLog && out.at - value >= 18 && HYLL.compare(out.data, value, value + 4) === 0) {
        this.leaveOut(this.options.unsupported === 'degrade' ? HLL_COPIED : HLL, record)
        if (this.options.unsupported === 'skip') {
          out.at = start
          this.expired++
          return true
        }
      }
      if (ttl > 0) {
        out.text('PX')
        out.integer(ttl)
      }
      if (!replace) out.text('NX')
    } else {
      out.command(4 + (replace ? 1 : 0))
      out.text('RESTORE')
      out.range(record.keyData, record.keyStart, record.keyEnd)
      out.integer(ttl)
      if (!transcoder.write(out, type, data, valueStart, valueEnd)) {
        out.at = start
        return false
      }
      if (replace) out.text('REPLACE')
    }
    this.owners.push(index)
    this.exactEnd(record, index, replace)
    return true
  }

  /** Ferrite's own RESTORE: value and time to live in one step. */
  private ferrite(
    record: SnapshotRecord,
    value: ItemsValue,
    index: number,
    onConflict: ConflictPolicy,
    now: number,
  ): void {
    const out = this.out
    const ttl = record.expireAt === 0 ? 0 : record.expireAt - now
    if (value.type === 'string') {
      out.command(3 + (ttl > 0 ? 2 : 0) + (onConflict === 'replace' ? 0 : 1))
      out.text('SET')
      out.bytes(record.key)
      out.bytes(value.items[0])
      if (ttl > 0) {
        out.text('PX')
        out.integer(ttl)
      }
      if (onConflict !== 'replace') out.text('NX')
    } else {
      out.command(4 + (onConflict === 'replace' ? 1 : 0))
      out.text('RESTORE')
      out.bytes(record.key)
      out.integer(ttl)
      writeFerritePayload(out, value)
      if (onConflict === 'replace') out.text('REPLACE')
    }
    this.owners.push(index)
    this.exactEnd(record, index, onConflict === 'replace')
  }

  /** Typed commands: in one transaction where there is one, else under a temporary name. */
  private typed(
    record: SnapshotRecord,
    value: DecodedValue,
    index: number,
    onConflict: ConflictPolicy,
    inPieces = false,
  ): void {
    const out = this.out
    if (inPieces || !this.able.atomicMulti || onConflict !== 'replace') {
      const temporary = temporaryName(this.options.migration)
      const name = Buffer.from(temporary)
      let commands = writeTyped(out, name, value, this.able, inPieces ? this.options.limits.piece : undefined)
      if (record.expireAt > 0) {
        out.call('PEXPIREAT', name, record.expireAt)
        commands++
      }
      for (let left = commands; left > 0; left--) this.owners.push(index)
      this.staged.push({ index, temporary })
      return
    }
    out.call('MULTI')
    out.call('DEL', record.key)
    let commands = 3 + writeTyped(out, record.key, value, this.able)
    if (record.expireAt > 0) {
      out.call('PEXPIREAT', record.key, record.expireAt)
      commands++
    }
    out.call('EXEC')
    for (let left = commands; left > 0; left--) this.owners.push(index)
    this.transactions.push({ index: this.owners.length - 1, commands: commands - 2 })
  }
}

/** A raw record in the packed form that the renderer works on; copies key and body. */
function packed({ db, expireAt, key }: SnapshotRecord, { type, body, rdbVersion }: RdbValue): PackedRecord {
  const keyEnd = key.length
  return new PackedRecord(
    db,
    expireAt,
    Buffer.concat([key, body]),
    0,
    keyEnd,
    keyEnd,
    keyEnd + body.length,
    type,
    rdbVersion,
  )
}
