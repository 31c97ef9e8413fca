import type { ChangeRecord } from '@ferrite-migrate/contracts'
import { commandBytes } from './resp-writer.js'

/** A command as a record of its own. */
export function commandRecord(db: number, argv: readonly Buffer[], receivedAt: number): ChangeRecord {
  return { db, name: argv[0].toString('latin1').toUpperCase(), argv, resp: commandBytes(argv), receivedAt }
}
