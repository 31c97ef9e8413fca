import { temporaryPrefix } from '@ferrite-migrate/redis'

let serial = 0

/** Names for values under construction; hidden from every report by their prefix. */
export function temporaryName(migration: string | undefined): string {
  return `${temporaryPrefix(migration)}${process.pid}:${Date.now().toString(36)}:${serial++}`
}
