import type { DecodedValue, SnapshotRecord } from '@ferrite-migrate/contracts'
import { decodeValue, keyTypeOf } from '@ferrite-migrate/protocol'

const CUT = 200

/** What is written for a record, as one would type it. */
export function commandLines({ db, key, value, expireAt }: SnapshotRecord): string[] {
  const name = word(key)
  const lines = db === 0 ? [] : [`SELECT ${db}`]
  if (value.form === 'sliced') return [...lines, `(a ${value.type} called ${name}, written in parts)`]
  if (value.form === 'rdb' && keyTypeOf(value.type, value.rdbVersion) === 'module')
    return [...lines, `RESTORE ${name} (${value.body.length} bytes)`]
  const decoded: DecodedValue = value.form === 'rdb' ? decodeValue(value.type, value.body, value.rdbVersion) : value
  if (decoded.form === 'stream')
    for (const { id, fields } of decoded.entries) lines.push(`XADD ${name} ${id} ${fields.map(word).join(' ')}`)
  else if (decoded.type === 'string')
    return [...lines, cut(`SET ${name} ${word(decoded.items[0])}${expireAt === 0 ? '' : ` PXAT ${expireAt}`}`)]
  else {
    const { type, items } = decoded
    const verb = { list: 'RPUSH', set: 'SADD', hash: 'HSET', zset: 'ZADD' }[type]
    const words = items.map((_, i) => word(items[type === 'zset' ? i ^ 1 : i]))
    lines.push(`${verb} ${name} ${words.join(' ')}`)
  }
  if (expireAt > 0) lines.push(`PEXPIREAT ${name} ${expireAt}`)
  return lines.map(cut)
}

function cut(line: string): string {
  return line.length > CUT ? `${line.slice(0, CUT - 1)}…` : line
}

/** Bytes as redis-cli takes them: plain, or in quotes. */
function word(bytes: Buffer): string {
  const text = bytes.toString('latin1')
  if (/^[\w.:@/{}+-]+$/.test(text)) return text
  const inner = [...bytes]
    .map((byte) =>
      byte === 34 || byte === 92
        ? `\\${String.fromCharCode(byte)}`
        : byte === 10
          ? '\\n'
          : byte >= 32 && byte < 127
            ? String.fromCharCode(byte)
            : `\\x${byte.toString(16).padStart(2, '0')}`,
    )
    .join('')
  return `"${inner}"`
}
