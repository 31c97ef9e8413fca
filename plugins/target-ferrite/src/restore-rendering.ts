import { type ConflictPolicy, PackedRecord, type RdbValue, type SnapshotRecord } from '@ferrite-migrate/contracts'
import { VALKEY_RDB_VERSION, writeRestorePayload } from '@ferrite-migrate/protocol'
import type { Abilities } from './abilities.js'
import type { RenderedBatch } from './rendered-batch.js'
import { writeString } from './string-argument.js'

const MSET_PAIRS = 200
const MSET_BYTES = 1 << 20
/** Compressed strings up to this size are cheaper for both ends as plain ones; longer ones stay compressed. */
const INFLATE_BELOW = 4096
/** From this type on Redis and Valkey give the same number to different ones. */
const FIRST_OF_TWO = 22

/** True when RESTORE takes a payload as it is. @param from the version of the RDB that it is of */
export function takesRaw({ rdbTypes, rdbVersion }: Abilities, type: number, from: number): boolean {
  return rdbTypes.has(type) && (type < FIRST_OF_TWO || from >= VALKEY_RDB_VERSION === rdbVersion >= VALKEY_RDB_VERSION)
}

/**
 * A record as Redis takes it raw; false = it must be decoded.
 * @param plain gets the index of a string that may go with others: `restoreStrings` appends those
 */
export function restorePacked(
  batch: RenderedBatch,
  record: PackedRecord,
  index: number,
  onConflict: ConflictPolicy,
  now: number,
  plain: number[],
): boolean {
  const { able } = batch
  const { type } = record
  if (type === 0 && (record.data[record.valueStart] < 0xc3 || record.valueEnd - record.valueStart < INFLATE_BELOW)) {
    if (record.expireAt === 0 && onConflict === 'replace' && batch.options.ofCluster !== true) {
      plain.push(index)
      return true
    }
    if (record.expireAt === 0 || able.setPxat) {
      set(batch, record, index, onConflict)
      return true
    }
  }
  if (!takesRaw(able, type, record.rdbVersion)) return false
  restore(batch, record, index, onConflict, now)
  return true
}

/** Strings without expiry, many a command: one reply for all of them. */
export function restoreStrings(
  batch: RenderedBatch,
  records: readonly SnapshotRecord[],
  plain: readonly number[],
): void {
  const { out } = batch
  for (let from = 0; from < plain.length; ) {
    let to = from
    for (let bytes = 0; to < plain.length && to - from < MSET_PAIRS && bytes < MSET_BYTES; to++) {
      const { keyStart, keyEnd, valueStart, valueEnd } = records[plain[to]] as PackedRecord
      bytes += keyEnd - keyStart + valueEnd - valueStart
    }
    out.command(1 + 2 * (to - from))
    out.text('MSET')
    const group: number[] = []
    for (; from < to; from++) {
      const record = records[plain[from]] as PackedRecord
      group.push(plain[from])
      out.range(record.keyData, record.keyStart, record.keyEnd)
      writeString(out, record)
    }
    batch.groups.push(group)
    batch.owners.push(-1 - batch.groups.length)
  }
}

/** A raw value that did not come packed; copies key and body. */
export function restoreValue(
  batch: RenderedBatch,
  { db, expireAt, key }: SnapshotRecord,
  { type, body, rdbVersion }: RdbValue,
  index: number,
  onConflict: ConflictPolicy,
  now: number,
): void {
  const keyEnd = key.length
  const data = Buffer.concat([key, body])
  const packed = new PackedRecord(db, expireAt, data, 0, keyEnd, keyEnd, keyEnd + body.length, type, rdbVersion)
  restore(batch, packed, index, onConflict, now)
}

function set(batch: RenderedBatch, record: PackedRecord, index: number, onConflict: ConflictPolicy): void {
  const { out } = batch
  const unless = onConflict !== 'replace'
  out.command(3 + (record.expireAt > 0 ? 2 : 0) + (unless ? 1 : 0))
  out.text('SET')
  out.range(record.keyData, record.keyStart, record.keyEnd)
  writeString(out, record)
  if (record.expireAt > 0) {
    out.text('PXAT')
    out.integer(record.expireAt)
  }
  if (unless) out.text('NX')
  batch.owners.push(index)
}

function restore(
  batch: RenderedBatch,
  record: PackedRecord,
  index: number,
  onConflict: ConflictPolicy,
  now: number,
): void {
  const { able, out } = batch
  const replace = onConflict === 'replace'
  const absolute = record.expireAt > 0 && able.absoluteRestore
  out.command(4 + (replace ? 1 : 0) + (absolute ? 1 : 0))
  out.text('RESTORE')
  out.range(record.keyData, record.keyStart, record.keyEnd)
  out.integer(record.expireAt === 0 ? 0 : absolute ? record.expireAt : record.expireAt - now)
  writeRestorePayload(out, record.type, record.data, record.valueStart, record.valueEnd, able.rdbVersion)
  if (replace) out.text('REPLACE')
  if (absolute) out.text('ABSTTL')
  batch.owners.push(index)
  if (!absolute) batch.exactEnd(record, index, replace)
}
