import type { Value } from '@ferrite-migrate/contracts'
import { type DigestOptions, decodeValue, digestValue } from '@ferrite-migrate/protocol'

function digest(value: Value, options: DigestOptions): Buffer {
  if (value.form === 'rdb' && (value.type === 6 || value.type === 7)) return value.body
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
