import { integer64Text, integerText } from './decimal.js'
import { damaged, ListpackCursor } from './listpack-cursor.js'

/**
 * The packed encodings that Redis keeps small collections in. Each function gives the elements in order, integers as
 * decimal text; strings are views into the blob. Layouts: facts of redis/librdb and HDT3213/rdb, see docs/rdb.md.
 */
/** Elements of a listpack. @throws MigrateError FM_RDB_CORRUPT */
export function listpackElements(blob: Buffer): Buffer[] {
  const cursor = new ListpackCursor()
  cursor.open(blob)
  const out: Buffer[] = []
  while (cursor.next())
    out.push(
      cursor.kind === 'text'
        ? blob.subarray(cursor.from, cursor.to)
        : cursor.kind === 'integer'
          ? integerText(cursor.integer)
          : integer64Text(blob.readInt32LE(cursor.from + 4), blob.readUInt32LE(cursor.from)),
    )
  return out
}

/** Elements of a ziplist. @throws MigrateError FM_RDB_CORRUPT */
export function ziplistElements(blob: Buffer): Buffer[] {
  if (blob.length < 11) throw damaged('ziplist', 'shorter than its header', 0)
  if (blob.readUInt32LE(0) !== blob.length) throw damaged('ziplist', 'its length field disagrees', 0)
  const announced = blob.readUInt16LE(8)
  const out: Buffer[] = []
  const end = blob.length - 1
  let at = 10
  while (at < end) {
    const start = at
    at += blob[at] === 0xfe ? 5 : 1
    if (at >= end) throw damaged('ziplist', 'an entry is cut', start)
    const byte = blob[at]
    let from = at + 1
    let length = -1
    let width = 0
    if (byte < 0x40) length = byte
    else if (byte < 0x80) {
      length = ((byte & 63) << 8) | blob[at + 1]
      from = at + 2
    } else if (byte < 0xc0) {
      if (at + 5 > end) throw damaged('ziplist', 'a length is cut', at)
      length = blob.readUInt32BE(at + 1)
      from = at + 5
    } else if (byte === 0xc0) width = 2
    else if (byte === 0xd0) width = 4
    else if (byte === 0xe0) width = 8
    else if (byte === 0xf0) width = 3
    else if (byte === 0xfe) width = 1
    else if (byte < 0xf1 || byte > 0xfd) throw damaged('ziplist', `unknown encoding ${byte}`, at)
    at = from + (length >= 0 ? length : width)
    if (at > end) throw damaged('ziplist', 'an entry runs past the end', start)
    if (length >= 0) out.push(blob.subarray(from, at))
    else if (width === 8) out.push(integer64Text(blob.readInt32LE(from + 4), blob.readUInt32LE(from)))
    else if (width > 0) out.push(integerText(blob.readIntLE(from, width)))
    else out.push(integerText(byte - 0xf1))
  }
  if (blob[at] !== 0xff) throw damaged('ziplist', 'no end mark', at)
  if (announced !== 65535 && announced !== out.length) throw damaged('ziplist', 'its element count disagrees', 8)
  return out
}

/** Members of an intset. @throws MigrateError FM_RDB_CORRUPT */
export function intsetElements(blob: Buffer): Buffer[] {
  if (blob.length < 8) throw damaged('intset', 'shorter than its header', 0)
  const width = blob.readUInt32LE(0)
  const count = blob.readUInt32LE(4)
  if (width !== 2 && width !== 4 && width !== 8) throw damaged('intset', `element width ${width}`, 0)
  if (blob.length !== 8 + width * count) throw damaged('intset', 'its element count disagrees', 4)
  const out: Buffer[] = new Array(count)
  for (let i = 0, at = 8; i < count; i++, at += width) {
    out[i] =
      width === 8
        ? integer64Text(blob.readInt32LE(at + 4), blob.readUInt32LE(at))
        : integerText(blob.readIntLE(at, width))
  }
  return out
}

/** Fields and values of a zipmap (hashes before Redis 2.6). @throws MigrateError FM_RDB_CORRUPT */
export function zipmapElements(blob: Buffer): Buffer[] {
  if (blob.length < 2) throw damaged('zipmap', 'shorter than its header', 0)
  const out: Buffer[] = []
  let at = 1
  const take = (free: boolean): Buffer => {
    let length = blob[at]
    if (length === 254) {
      if (at + 5 > blob.length) throw damaged('zipmap', 'a length is cut', at)
      length = blob.readUInt32LE(at + 1)
      at += 5
    } else at += 1
    const padding = free ? blob[at++] : 0
    if (at + length + padding >= blob.length) throw damaged('zipmap', 'an entry runs past the end', at)
    const item = blob.subarray(at, at + length)
    at += length + padding
    return item
  }
  while (at < blob.length && blob[at] !== 255) {
    out.push(take(false))
    if (at >= blob.length) throw damaged('zipmap', 'a value is missing', at)
    out.push(take(true))
  }
  if (at !== blob.length - 1) throw damaged('zipmap', 'no end mark', at)
  return out
}
