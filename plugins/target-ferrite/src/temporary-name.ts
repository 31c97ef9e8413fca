import { keySlot } from '@ferrite-migrate/protocol'
import { slotTag, temporaryPrefix } from '@ferrite-migrate/redis'

let serial = 0

/**
 * Names for values under construction; hidden from every report by their prefix.
 * @param key whose slot it is to be in, so that it can be renamed into place at a node of a cluster
 */
export function temporaryName(migration: string | undefined, key?: Buffer): string {
  const slot = key === undefined ? '' : `{${slotTag(keySlot(key))}}:`
  return `${temporaryPrefix(migration)}${slot}${process.pid}:${Date.now().toString(36)}:${serial++}`
}
