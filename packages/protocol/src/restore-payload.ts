import { MigrateError, type RdbValue } from '@ferrite-migrate/contracts'
import { Crc64 } from './crc64.js'
import { MORE, RdbScan } from './rdb-scan.js'
import { Opcode, VALKEY_RDB_VERSION } from './rdb-type.js'
import type { RespWriter } from './resp-writer.js'

const crc = new Crc64()

/**
 * Appends the argument that RESTORE takes: type byte, body, RDB version, CRC64 over all before it.
 * @param rdbVersion the version written into the footer; the target refuses one above its own
 */
export function writeRestorePayload(
  out: RespWriter,
  type: number,
  data: Buffer,
  start: number,
  end: number,
  rdbVersion: number,
): void {
  const length = end - start + 11
  out.header(length)
  const from = out.at
  const at = from + 1 + end - start
  const bytes = out.data
  bytes[from] = type
  data.copy(bytes, from + 1, start, end)
  bytes[at] = rdbVersion & 255
  bytes[at + 1] = rdbVersion >>> 8
  crc
    .reset()
    .update(bytes, from, at + 2)
    .write(bytes, at + 2)
  out.crlf(at + 10)
}

/** Where the type of the value is: behind what modules keep beside a key (Redis 8.6), which is not carried. */
function skipKeyMeta(payload: Buffer, end: number): number {
  if (payload[0] !== Opcode.keyMeta || end < 3) return 0
  const version = payload.readUInt16LE(end)
  const next = version >= VALKEY_RDB_VERSION ? MORE : new RdbScan().operands(Opcode.keyMeta, version, payload, 1, end)
  return next === MORE ? 0 : next
}

/**
 * Takes a DUMP reply apart; the body is a view.
 * @throws MigrateError FM_DUMP_PAYLOAD when footer or checksum is wrong
 */
export function parseDump(payload: Buffer, checksum = true): RdbValue {
  const at = payload.length - 10
  const value = skipKeyMeta(payload, at)
  if (at < 1 || (checksum && !new Crc64().update(payload, 0, payload.length - 8).equals(payload, payload.length - 8)))
    throw new MigrateError(
      'FM_DUMP_PAYLOAD',
      'the server answered DUMP with something that is no Redis payload',
      'The source may not be a Redis: name it ferrite:// if it is a Ferrite.',
    )
  return {
    form: 'rdb',
    type: payload[value],
    body: payload.subarray(value + 1, at),
    rdbVersion: payload.readUInt16LE(at),
  }
}
