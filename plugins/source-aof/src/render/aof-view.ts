import { formatBytes, formatCount, THIN } from '@ferrite-migrate/cli-kit'
import type { AofInspection } from '../index.js'

/** The lines of `analyze-aof`. */
export function aofLines(aof: AofInspection): string[] {
  const time = (ms: number | null): string => (ms === null ? '-' : new Date(ms).toISOString())
  return [
    `Files: ${aof.files.length}`,
    `Size: ${formatBytes(aof.byteLength)}`,
    `Commands: ${formatCount(aof.commands)}`,
    `Keys in RDB parts: ${formatCount(aof.rdbKeys)}`,
    `Databases: ${aof.databases.join(', ') || 'none'}`,
    `Time marks: ${aof.firstMark === null ? 'none (aof-timestamp-enabled is off): --before and --after are not possible' : `${time(aof.firstMark)} to ${time(aof.lastMark)}`}`,
    `Tail: ${aof.truncatedBytes === 0 ? 'whole' : `the last ${formatCount(aof.truncatedBytes)} bytes are ${aof.unfinishedMulti ? 'an unfinished MULTI' : 'an unfinished command'}; an import leaves them out`}`,
    '',
    'FILES',
    THIN,
    ...aof.files.map(
      ({ path, kind, rdb, byteLength, commands }) =>
        `${kind.padEnd(10)} ${formatBytes(byteLength).padEnd(10)} ${`${formatCount(commands)} commands`.padEnd(22)} ${rdb ? 'RDB first  ' : '           '}${path}`,
    ),
    '',
    'COMMANDS',
    THIN,
    ...aof.byName.slice(0, 20).map(({ name, count }) => `${name.padEnd(18)} ${formatCount(count)}`),
  ]
}
