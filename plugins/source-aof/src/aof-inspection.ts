import { MigrateError, type PackedChange } from '@ferrite-migrate/contracts'
import { AofReader, absoluteExpiry, commandSpecOf, RdbReader } from '@ferrite-migrate/protocol'
import type { AofFile } from './aof-files.js'
import { openPart } from './aof-part.js'

/** What one reading of an append-only file tells before anything is written. */
export interface AofInspection {
  readonly files: readonly (AofFile & { readonly rdb: boolean; readonly commands: number })[]
  readonly byteLength: number
  readonly commands: number
  /** Commands by name, most frequent first. */
  readonly byName: readonly { readonly name: string; readonly count: number }[]
  readonly databases: readonly number[]
  /** Keys of RDB parts. */
  readonly rdbKeys: number
  /** When the RDB that they begin with was written, ms; null = there is none, or it does not tell. */
  readonly baseTime: number | null
  /** First and last time mark, ms; null = the files have none. */
  readonly firstMark: number | null
  readonly lastMark: number | null
  /** Commands whose time to live counts from when they ran, which nothing tells; servers write absolute times, other tools may not. */
  readonly relativeExpiries: number
  readonly truncatedBytes: number
  readonly unfinishedMulti: boolean
}

/**
 * Reads everything once.
 * @throws MigrateError FM_AOF_CORRUPT, FM_AOF_TRUNCATED (not at the end of the last file), FM_RDB_*
 */
export async function inspectAof(
  files: readonly AofFile[],
  checksum: boolean,
  signal: AbortSignal,
): Promise<AofInspection> {
  const counts = new Map<string, number>()
  const databases = new Set<number>()
  const seen: (AofFile & { rdb: boolean; commands: number })[] = []
  let rdbKeys = 0
  let baseTime: number | null = null
  let relativeExpiries = 0
  let firstMark: number | null = null
  let lastMark: number | null = null
  let truncatedBytes = 0
  let unfinishedMulti = false
  for (const [index, file] of files.entries()) {
    const { feed, window, startsWithRdb } = await openPart(file)
    try {
      if (startsWithRdb)
        for await (const event of new RdbReader(window, { checksum }).read()) {
          if (signal.aborted) break
          if (event.kind === 'aux' && event.name === 'ctime' && index === 0)
            baseTime = Number(event.value.toString('latin1')) * 1000 || null
          if (event.kind !== 'records') continue
          for (const record of event.records) {
            rdbKeys++
            databases.add(record.db)
            if (record.value.form === 'sliced') for await (const _ of record.value.slices);
          }
          event.block.release()
        }
      let commands = 0
      const reader = new AofReader(window, { offset: window.offset() })
      for await (const batch of reader.read()) {
        for (const record of batch.records) {
          const { name, db } = record
          counts.set(name, (counts.get(name) ?? 0) + 1)
          databases.add(db)
          if (countsFromUnknown(record)) relativeExpiries++
        }
        commands += batch.records.length
        if (batch.time > 0) {
          firstMark ??= batch.time
          lastMark = batch.time
        }
        batch.release()
        if (signal.aborted) break
      }
      seen.push({ ...file, rdb: startsWithRdb, commands })
      const { end } = reader
      if (end === null || end.truncatedBytes === 0) continue
      if (index < files.length - 1)
        throw new MigrateError(
          'FM_AOF_TRUNCATED',
          `${file.path} ends inside a command at byte ${end.offset}, and is not the last file`,
          'Take the whole appendonlydir again, while automatic rewrites are switched off.',
        )
      truncatedBytes = end.truncatedBytes
      unfinishedMulti = end.unfinishedMulti
    } finally {
      await feed.close()
    }
  }
  return {
    files: seen,
    byteLength: files.reduce((sum, { byteLength }) => sum + byteLength, 0),
    commands: [...counts.values()].reduce((sum, count) => sum + count, 0),
    byName: [...counts].map(([name, count]) => ({ name, count })).sort((a, b) => b.count - a.count),
    databases: [...databases].sort((a, b) => a - b),
    rdbKeys,
    baseTime,
    firstMark,
    lastMark,
    relativeExpiries,
    truncatedBytes,
    unfinishedMulti,
  }
}

function countsFromUnknown(record: PackedChange): boolean {
  const { name, data, start, receivedAt } = record
  if (receivedAt > 0 || !commandSpecOf(name).relativeExpiry) return false
  // `*3`: the most common SET has none.
  if (name === 'SET' && data[start + 1] === 51 && data[start + 2] === 13) return false
  return absoluteExpiry(name, record.argv, 1) !== null
}
