import type { DecodedValue, SnapshotRecord } from '@ferrite-migrate/contracts'
import type { RenderedBatch, UnsupportedPolicy } from './rendered-batch.js'

const HYLL = Buffer.from('HYLL')
const HLL = 'hyperloglog'
const HLL_COPIED = 'hyperloglog (copied as a string)'

/** True when the bytes start as a HyperLogLog does. */
export function startsAsHyperLogLog(data: Buffer, start = 0): boolean {
  return HYLL.compare(data, start, start + HYLL.length) === 0
}

/** What a HyperLogLog is reported as. */
export function hyperLogLogName(unsupported: UnsupportedPolicy): string {
  return unsupported === 'degrade' ? HLL_COPIED : HLL
}

/** Notes what the target cannot hold of a value. False when the key is left out for it. */
export function noteUnsupported(batch: RenderedBatch, record: SnapshotRecord, decoded: DecodedValue): boolean {
  const { able, notCarried, options } = batch
  const before = notCarried.length
  if (decoded.form === 'items') {
    if (decoded.fieldExpireAt !== undefined && !able.fieldExpiry) batch.leaveOut('hash-field-ttl', record)
    if (
      decoded.type === 'string' &&
      !able.hyperLogLog &&
      decoded.items[0].length >= 16 &&
      startsAsHyperLogLog(decoded.items[0])
    )
      batch.leaveOut(hyperLogLogName(options.unsupported), record)
  } else if (decoded.producers !== undefined)
    notCarried.push({ what: 'stream-producers', db: record.db, key: Buffer.from(record.key) })
  else if (
    decoded.entriesAdded !== '-1' &&
    !able.xsetidCounters &&
    decoded.entriesAdded !== String(decoded.entries.length)
  )
    // Counters are told of a stream, not of its contents: no policy leaves a stream out for them.
    notCarried.push({ what: 'stream-counters', db: record.db, key: Buffer.from(record.key) })
  if (decoded.form === 'stream' || notCarried.length === before || options.unsupported !== 'skip') return true
  batch.expired++
  return false
}
