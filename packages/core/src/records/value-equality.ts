import type { DecodedValue, SlicedValue, StreamValue, Value } from '@ferrite-migrate/contracts'
import {
  type DigestOptions,
  decodeValue,
  digestValue,
  isOpaque,
  scoreBits,
  ValueDigest,
} from '@ferrite-migrate/protocol'

/** A value as its items; null where it is too large to be held, or only its bytes are known. */
export function decodedValue(value: Value): DecodedValue | null {
  if (value.form === 'sliced' || (value.form === 'rdb' && isOpaque(value.type, value.rdbVersion))) return null
  return value.form === 'rdb' ? decodeValue(value.type, value.body, value.rdbVersion) : value
}

function digest(value: Value, options: DigestOptions): Buffer {
  if (value.form === 'rdb' && isOpaque(value.type, value.rdbVersion)) return value.body
  if (value.form === 'sliced') throw new Error('a sliced value in a comparison')
  return digestValue(value.form === 'rdb' ? decodeValue(value.type, value.body, value.rdbVersion) : value, options)
}

/** True when two values are logically equal, whatever their encoding. Neither may be sliced. */
export function sameValue(a: Value, b: Value, options: DigestOptions): boolean {
  if (
    a.form === 'rdb' &&
    b.form === 'rdb' &&
    a.type === b.type &&
    (a.type < 22 || a.rdbVersion >= 80 === b.rdbVersion >= 80) &&
    a.body.equals(b.body)
  )
    return true
  return digest(a, options).equals(digest(b, options))
}

/** The digest of a value that is read piece by piece; comparable only with another one of this kind. */
async function digestSliced({ type, slices }: SlicedValue, options: DigestOptions): Promise<Buffer> {
  const digest = new ValueDigest(type)
  let stream: StreamValue | undefined
  for await (const { items, fieldExpireAt, entries, stream: tail } of slices) {
    if (type === 'list' || type === 'string') for (const item of items) digest.ordered(item)
    else if (type === 'set') for (const item of items) digest.unordered(item)
    else if (type === 'zset')
      for (let i = 0; i < items.length; i += 2) digest.unordered(items[i], scoreBits(items[i + 1]))
    else if (type === 'hash')
      for (let i = 0; i < items.length; i += 2) {
        const at = options.fieldExpiry === false ? 0 : (fieldExpireAt?.[i >> 1] ?? 0)
        digest.unordered(items[i], items[i + 1], at === 0 ? undefined : Buffer.from(String(at)))
      }
    for (const entry of entries ?? []) {
      digest.ordered(Buffer.from(`${entry.id} ${entry.fields.length}`))
      for (const field of entry.fields) digest.ordered(field)
    }
    stream = tail ?? stream
  }
  return stream === undefined
    ? digest.end()
    : Buffer.concat([digest.end(), digestValue({ ...stream, entries: [] }, options)])
}

/**
 * The same for two values in slices. SCAN may give an element twice while a collection is rehashed: a difference is to be
 * looked at again.
 */
export async function sameSliced(a: SlicedValue, b: SlicedValue, options: DigestOptions): Promise<boolean> {
  const [left, right] = await Promise.all([digestSliced(a, options), digestSliced(b, options)])
  return left.equals(right)
}
