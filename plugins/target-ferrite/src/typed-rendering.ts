import type { ConflictPolicy, DecodedValue, SnapshotRecord } from '@ferrite-migrate/contracts'
import { writeTyped } from '@ferrite-migrate/protocol'
import type { RenderedBatch } from './rendered-batch.js'

/** Typed commands: in one transaction where there is one, else under a temporary name. */
export function typedValue(
  batch: RenderedBatch,
  record: SnapshotRecord,
  value: DecodedValue,
  index: number,
  onConflict: ConflictPolicy,
): void {
  const { able, out } = batch
  if (!able.atomicMulti || onConflict !== 'replace') {
    typedUnderTemporaryName(batch, record, value, index)
    return
  }
  out.call('MULTI')
  out.call('DEL', record.key)
  let commands = 3 + writeTyped(out, record.key, value, able)
  if (record.expireAt > 0) {
    out.call('PEXPIREAT', record.key, record.expireAt)
    commands++
  }
  out.call('EXEC')
  for (let left = commands; left > 0; left--) batch.owners.push(index)
  batch.transactions.push({ index: batch.owners.length - 1, commands: commands - 2 })
}

/**
 * Typed commands under a name that a second step replaces.
 * @param piece bytes of one command at most, where the value is larger than a request may be
 */
export function typedUnderTemporaryName(
  batch: RenderedBatch,
  record: SnapshotRecord,
  value: DecodedValue,
  index: number,
  piece?: number,
): void {
  const { out } = batch
  const temporary = batch.temporaryName(record.key)
  const name = Buffer.from(temporary)
  let commands = writeTyped(out, name, value, batch.able, piece)
  if (record.expireAt > 0) {
    out.call('PEXPIREAT', name, record.expireAt)
    commands++
  }
  for (let left = commands; left > 0; left--) batch.owners.push(index)
  batch.staged.push({ index, temporary })
}
