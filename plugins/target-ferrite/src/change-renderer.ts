import { type ChangeBatch, type Checkpoint, PackedChange } from '@ferrite-migrate/contracts'
import type { RespWriter } from '@ferrite-migrate/protocol'
import { checkpointKey, type RedisLink } from '@ferrite-migrate/redis'
import { encodeCheckpoint } from './checkpoint.js'
import { NOBODY } from './rendered-batch.js'

/** Appends changes as one transaction with their checkpoint; gives the number of replies to expect. `places` gets, for each command inside the transaction, the index of its record, or NOBODY. */
export function renderChanges(
  out: RespWriter,
  link: RedisLink,
  batch: ChangeBatch,
  checkpoint: Checkpoint | undefined,
  places: number[],
): number {
  const { records } = batch
  let db = link.selected
  const select = (wanted: number): void => {
    if (wanted === db) return
    out.call('SELECT', wanted)
    places.push(NOBODY)
    db = wanted
  }
  const transaction = records.length > 0
  if (transaction) out.call('MULTI')
  const key = checkpoint && checkpointKey(checkpoint.migration, checkpoint.shard)
  let data: Buffer | null = null
  let from = 0
  let to = 0
  const flush = (): void => {
    if (data !== null) out.raw(data, from, to)
    data = null
  }
  for (let index = 0; index < records.length; index++) {
    const record = records[index]
    if (record.db !== db || record.name === 'SWAPDB') {
      flush()
      if (record.name === 'SWAPDB' && key !== undefined) {
        select(0)
        out.call('DEL', key)
        places.push(NOBODY)
      }
      select(record.db)
    }
    if (record instanceof PackedChange) {
      // Neighbours in the stream stay neighbours: one copy for many commands.
      if (data === record.data && to === record.start) to = record.end
      else {
        flush()
        data = record.data
        from = record.start
        to = record.end
      }
    } else {
      flush()
      out.raw(record.resp)
    }
    places.push(index)
  }
  flush()
  if (checkpoint !== undefined && key !== undefined) {
    select(0)
    out.call('SET', key, encodeCheckpoint(checkpoint))
    places.push(NOBODY)
  }
  if (transaction) out.call('EXEC')
  link.assumeSelected(db)
  return places.length + (transaction ? 2 : 0)
}
