import { type ConflictPolicy, PackedRecord, type SnapshotRecord } from '@ferrite-migrate/contracts'
import { decodeValue, isOpaque, isUnknownType, rdbTypeName } from '@ferrite-migrate/protocol'
import { ferritePacked, ferriteValue } from './ferrite-rendering.js'
import type { RenderedBatch } from './rendered-batch.js'
import { restorePacked, restoreStrings, restoreValue, takesRaw } from './restore-rendering.js'
import { typedUnderTemporaryName, typedValue } from './typed-rendering.js'
import { noteUnsupported } from './unsupported-parts.js'

/**
 * Appends records of one database, which is selected already, as commands in the dialect that the probes found. `typedOnly`
 * holds indexes whose payload the target refused before.
 */
export function renderRecords(
  batch: RenderedBatch,
  records: readonly SnapshotRecord[],
  onConflict: ConflictPolicy,
  typedOnly: ReadonlySet<number>,
): void {
  const { rendering } = batch.able
  const now = Date.now() + batch.options.clockSkewMs
  const most = batch.options.limits.value
  const plain: number[] = []
  for (let index = 0; index < records.length; index++) {
    const record = records[index]
    if (record.expireAt > 0 && record.expireAt <= now) {
      batch.expired++
      if (onConflict === 'replace') batch.gone(record, index)
      continue
    }
    if (record instanceof PackedRecord) {
      const bytes = record.valueEnd - record.valueStart
      if (bytes > batch.largest) batch.largest = bytes
      if (bytes > most && inPieces(batch, record, index)) continue
      if (rendering === 'restore') {
        if (!typedOnly.has(index) && restorePacked(batch, record, index, onConflict, now, plain)) continue
      } else if (rendering === 'ferrite-restore' && ferritePacked(batch, record, index, onConflict, now)) continue
    }
    renderOther(batch, record, index, onConflict, now, typedOnly.has(index))
  }
  restoreStrings(batch, records, plain)
}

/** Everything that is not a packed record of a type that the target takes raw. */
function renderOther(
  batch: RenderedBatch,
  record: SnapshotRecord,
  index: number,
  onConflict: ConflictPolicy,
  now: number,
  typedOnly: boolean,
): void {
  const { able } = batch
  const { value } = record
  if (value.form === 'sliced') return
  if (value.form === 'rdb') {
    const raw = able.rendering === 'restore' && !typedOnly
    if (raw && takesRaw(able, value.type, value.rdbVersion)) {
      restoreValue(batch, record, value, index, onConflict, now)
      return
    }
    if (isOpaque(value.type, value.rdbVersion)) {
      // Only the same module, or a newer server, can read it: RESTORE decides, and refuses by key.
      const module = value.type === 6 || value.type === 7
      if (raw && (module || isUnknownType(value.type, value.rdbVersion)))
        restoreValue(batch, record, value, index, onConflict, now)
      else {
        batch.leaveOut(module ? 'module-value' : `value of type ${rdbTypeName(value.type)}`, record)
        batch.expired++
      }
      return
    }
  }
  const decoded = value.form === 'rdb' ? decodeValue(value.type, value.body, value.rdbVersion) : value
  if (!noteUnsupported(batch, record, decoded)) return
  if (value.form === 'rdb' && value.body.length > batch.options.limits.value)
    typedUnderTemporaryName(batch, record, decoded, index, batch.options.limits.piece)
  else if (able.rendering === 'ferrite-restore' && decoded.form === 'items')
    ferriteValue(batch, record, decoded, index, onConflict, now)
  else typedValue(batch, record, decoded, index, onConflict)
}

/** A value that the target does not take in one request. False when it cannot be divided: only RESTORE can tell. */
function inPieces(batch: RenderedBatch, record: PackedRecord, index: number): boolean {
  const { value } = record
  if (value.form !== 'rdb' || isOpaque(value.type, value.rdbVersion)) return false
  const decoded = decodeValue(value.type, value.body, value.rdbVersion)
  if (noteUnsupported(batch, record, decoded))
    typedUnderTemporaryName(batch, record, decoded, index, batch.options.limits.piece)
  return true
}
