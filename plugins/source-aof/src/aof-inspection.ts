import { MigrateError } from '@ferrite-migrate/contracts'
import { AofReader, RdbReader } from '@ferrite-migrate/protocol'
import { AofCensus } from './aof-census.js'
import type { AofFile } from './aof-files.js'
import { openPart } from './aof-part.js'

type InspectedFile = AofFile & { readonly rdb: boolean; readonly commands: number }

/** What one reading of an append-only file tells before anything is written. */
export interface AofInspection {
  readonly files: readonly InspectedFile[]
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
  const census = new AofCensus(signal)
  const seen: InspectedFile[] = []
  let truncatedBytes = 0
  let unfinishedMulti = false
  for (const [index, file] of files.entries()) {
    const { feed, window, startsWithRdb } = await openPart(file)
    try {
      if (startsWithRdb) await census.addRdb(new RdbReader(window, { checksum }), index === 0)
      const reader = new AofReader(window, { offset: window.offset() })
      const commands = await census.addCommands(reader)
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
  const { counts, databases, rdbKeys, baseTime, firstMark, lastMark, relativeExpiries } = census
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
