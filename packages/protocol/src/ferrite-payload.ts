import { type ItemsValue, MigrateError } from '@ferrite-migrate/contracts'
import { doubleText, parseDouble } from './decimal.js'
import type { RespWriter } from './resp-writer.js'

/**
 * Ferrite's own DUMP and RESTORE format: one type byte (0 string, 1 list, 2 hash, 3 set, 4 zset), then for strings the
 * bytes, else little-endian u32 lengths before each element and an f64 after each zset member. No version, no checksum.
 */
const TYPES = ['string', 'list', 'hash', 'set', 'zset'] as const

/** The size in bytes that `writeFerritePayload` will write as its argument. */
function payloadLength(value: ItemsValue): number {
  if (value.type === 'string') return 1 + value.items[0].length
  let length = 1
  const zset = value.type === 'zset'
  for (let i = 0; i < value.items.length; i += zset ? 2 : 1) length += 4 + value.items[i].length + (zset ? 8 : 0)
  return length
}

/** Appends the argument that Ferrite's RESTORE takes. */
export function writeFerritePayload(out: RespWriter, value: ItemsValue): void {
  const length = payloadLength(value)
  out.header(length)
  const data = out.data
  let at = out.at
  data[at++] = TYPES.indexOf(value.type)
  const items = value.items
  if (value.type === 'string') at += items[0].copy(data, at)
  else {
    const zset = value.type === 'zset'
    for (let i = 0; i < items.length; i++) {
      const item = items[i]
      data.writeUInt32LE(item.length, at)
      at += 4
      item.copy(data, at)
      at += item.length
      if (zset) {
        data.writeDoubleLE(parseDouble(items[++i]), at)
        at += 8
      }
    }
  }
  out.crlf(at)
}

/**
 * Decodes Ferrite's DUMP reply; items are views.
 * @throws MigrateError FM_DUMP_PAYLOAD
 */
export function parseFerritePayload(payload: Buffer): ItemsValue {
  const bad = (): MigrateError =>
    new MigrateError(
      'FM_DUMP_PAYLOAD',
      'the server answered DUMP with a damaged payload',
      'Read the key again; if it comes back, report it with the Ferrite version.',
    )
  const type = TYPES[payload[0]]
  if (type === undefined) throw bad()
  if (type === 'string') return { form: 'items', type, items: [payload.subarray(1)] }
  const items: Buffer[] = []
  let at = 1
  while (at < payload.length) {
    if (at + 4 > payload.length) throw bad()
    const end = at + 4 + payload.readUInt32LE(at)
    if (end > payload.length) throw bad()
    items.push(payload.subarray(at + 4, end))
    at = end
    if (type === 'zset') {
      if (at + 8 > payload.length) throw bad()
      items.push(doubleText(payload.readDoubleLE(at)))
      at += 8
    }
  }
  return { form: 'items', type, items }
}
