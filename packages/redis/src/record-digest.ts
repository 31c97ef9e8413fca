import { type DecodedValue, MigrateError, type SnapshotRecord } from '@ferrite-migrate/contracts'
import { type DigestOptions, decodeValue, digestValue, isOpaque } from '@ferrite-migrate/protocol'

/** The logical digest of a record that is held whole. */
export function digestRecord(record: SnapshotRecord, options: DigestOptions = {}): Buffer {
  const { value } = record
  if (value.form === 'sliced')
    throw new MigrateError('FM_CONTRACT', 'a sliced value has no digest in one step', 'Read it whole.')
  if (value.form === 'rdb' && isOpaque(value.type, value.rdbVersion)) return Buffer.from(value.body)
  const decoded: DecodedValue = value.form === 'rdb' ? decodeValue(value.type, value.body, value.rdbVersion) : value
  return digestValue(decoded, options)
}
