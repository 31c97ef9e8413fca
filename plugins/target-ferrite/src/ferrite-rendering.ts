import type { ConflictPolicy, ItemsValue, PackedRecord, SnapshotRecord } from '@ferrite-migrate/contracts'
import { FerriteTranscoder, writeFerritePayload } from '@ferrite-migrate/protocol'
import type { RenderedBatch } from './rendered-batch.js'
import { writeString } from './string-argument.js'
import { hyperLogLogName, startsAsHyperLogLog } from './unsupported-parts.js'

const transcoder = new FerriteTranscoder()

/** The same as `ferriteValue` for what need not be decoded; false = it must be. */
export function ferritePacked(
  batch: RenderedBatch,
  record: PackedRecord,
  index: number,
  onConflict: ConflictPolicy,
  now: number,
): boolean {
  const { out } = batch
  const replace = onConflict === 'replace'
  const ttl = record.expireAt === 0 ? 0 : record.expireAt - now
  const start = out.at
  if (record.type === 0) {
    out.command(3 + (ttl > 0 ? 2 : 0) + (replace ? 0 : 1))
    out.text('SET')
    out.range(record.keyData, record.keyStart, record.keyEnd)
    const header = out.at
    writeString(out, record)
    if (!takesString(batch, record, header)) {
      out.at = start
      batch.expired++
      return true
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
    if (!transcoder.write(out, record.type, record.data, record.valueStart, record.valueEnd)) {
      out.at = start
      return false
    }
    if (replace) out.text('REPLACE')
  }
  batch.owners.push(index)
  batch.exactEnd(record, index, replace)
  return true
}

/** Looks at a string where it was written, from its header on. False when it is a HyperLogLog that is left out. */
function takesString(batch: RenderedBatch, record: PackedRecord, header: number): boolean {
  const { out } = batch
  const value = out.data.indexOf(10, header) + 1
  if (batch.able.hyperLogLog || out.at - value < 18 || !startsAsHyperLogLog(out.data, value)) return true
  const { unsupported } = batch.options
  batch.leaveOut(hyperLogLogName(unsupported), record)
  return unsupported !== 'skip'
}

/** Ferrite's own RESTORE: value and time to live in one step. */
export function ferriteValue(
  batch: RenderedBatch,
  record: SnapshotRecord,
  value: ItemsValue,
  index: number,
  onConflict: ConflictPolicy,
  now: number,
): void {
  const { out } = batch
  const replace = onConflict === 'replace'
  const ttl = record.expireAt === 0 ? 0 : record.expireAt - now
  if (value.type === 'string') {
    out.command(3 + (ttl > 0 ? 2 : 0) + (replace ? 0 : 1))
    out.text('SET')
    out.bytes(record.key)
    out.bytes(value.items[0])
    if (ttl > 0) {
      out.text('PX')
      out.integer(ttl)
    }
    if (!replace) out.text('NX')
  } else {
    out.command(4 + (replace ? 1 : 0))
    out.text('RESTORE')
    out.bytes(record.key)
    out.integer(ttl)
    writeFerritePayload(out, value)
    if (replace) out.text('REPLACE')
  }
  batch.owners.push(index)
  batch.exactEnd(record, index, replace)
}
