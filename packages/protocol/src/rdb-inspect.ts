import type { Contents } from '@ferrite-migrate/contracts'
import { type ByteFeed, ByteWindow } from './byte-window.js'
import { RdbReader } from './rdb-reader.js'
import { hasFieldExpiry } from './rdb-type.js'
import { RecordFacts } from './record-facts.js'

/**
 * Reads an RDB once for what a target may not be able to hold. Nothing is decoded.
 * @throws MigrateError FM_RDB_*
 */
export async function inspectRdb(feed: ByteFeed, checksum: boolean, signal: AbortSignal): Promise<Contents> {
  const facts = new RecordFacts()
  const now = Date.now()
  const databases = new Map<number, number>()
  const modules = new Map<string, number>()
  let rdbVersion = 0
  let valkey = false
  let keys = 0
  let expired = 0
  let hashesWithFieldExpiry = 0
  let hyperLogLogs = 0
  let streams = 0
  let functions = 0
  for await (const event of new RdbReader(new ByteWindow(feed), { checksum }).read()) {
    if (event.kind === 'header') {
      rdbVersion = event.version
      valkey = event.valkey
    } else if (event.kind === 'function') functions++
    else if (event.kind === 'module-aux') modules.set(event.module, modules.get(event.module) ?? 0)
    else if (event.kind === 'records') {
      for (const record of event.records) {
        keys++
        databases.set(record.db, (databases.get(record.db) ?? 0) + 1)
        if (record.expireAt > 0 && record.expireAt <= now) expired++
        const { value } = record
        if (value.form === 'sliced') {
          if (value.type === 'stream') streams++
          for await (const slice of value.slices) if (slice.fieldExpireAt?.some((at) => at > 0)) hashesWithFieldExpiry++
          continue
        }
        facts.look(record)
        if (facts.hyperLogLog) hyperLogLogs++
        else if (hasFieldExpiry(facts.type)) hashesWithFieldExpiry++
        else if (facts.keyType === 'stream') streams++
        else if (facts.keyType === 'module') {
          const name = facts.moduleOf(record)
          modules.set(name, (modules.get(name) ?? 0) + 1)
        }
      }
      event.block.release()
    }
    if (signal.aborted) break
  }
  return {
    keys,
    rdbVersion,
    valkey,
    expired,
    databases,
    hashesWithFieldExpiry,
    hyperLogLogs,
    streams,
    functions,
    modules,
  }
}
