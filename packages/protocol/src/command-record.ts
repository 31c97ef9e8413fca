import type { ChangeRecord } from '@ferrite-migrate/contracts'
import { commandBytes } from './resp-writer.js'

/**
 * A command as a record of its own.
 * @param at the place in the stream of what it stands for; absent = it stands for nothing there
 */
export function commandRecord(db: number, argv: readonly Buffer[], receivedAt: number, at?: number): ChangeRecord {
  const name = argv[0].toString('latin1').toUpperCase()
  return { db, name, argv, resp: commandBytes(argv), receivedAt, ...(at === undefined ? {} : { at }) }
}
