import { isUtf8 } from 'node:buffer'
import type { DecodedValue, SnapshotRecord, StreamValue } from '@ferrite-migrate/contracts'
import { decodeValue, keyTypeOf } from '@ferrite-migrate/protocol'
import type { ByteSink } from './byte-sink.js'
import type { ExportWriter } from './export-writer.js'

/** Bytes as text where they are UTF-8, else base64. */
export function textOf(bytes: Buffer): string | { base64: string } {
  return isUtf8(bytes) ? bytes.toString('utf8') : { base64: bytes.toString('base64') }
}

/** A value as the layout has it; see docs/files.md. */
export function valueJson({ value }: SnapshotRecord): { type: string; value: unknown } {
  if (value.form === 'sliced') throw new Error('a value in slices was not made whole')
  if (value.form === 'rdb' && keyTypeOf(value.type, value.rdbVersion) === 'module')
    return {
      type: 'module',
      value: { rdb: value.type, version: value.rdbVersion, body: { base64: value.body.toString('base64') } },
    }
  const decoded: DecodedValue = value.form === 'rdb' ? decodeValue(value.type, value.body, value.rdbVersion) : value
  if (decoded.form === 'stream') return { type: 'stream', value: streamJson(decoded) }
  const { type, items, fieldExpireAt } = decoded
  switch (type) {
    case 'string':
      return { type, value: textOf(items[0]) }
    case 'hash':
    case 'zset': {
      const pairs: unknown[] = []
      for (let at = 0; at < items.length; at += 2) {
        const end = fieldExpireAt?.[at / 2] ?? 0
        pairs.push([
          textOf(items[at]),
          type === 'zset' ? items[at + 1].toString('latin1') : textOf(items[at + 1]),
          ...(end === 0 ? [] : [end]),
        ])
      }
      return { type, value: pairs }
    }
    default:
      return { type, value: items.map(textOf) }
  }
}

function streamJson(stream: StreamValue): Record<string, unknown> {
  const { entries, lastId, firstId, maxDeletedId, entriesAdded, groups } = stream
  return {
    entries: entries.map(({ id, fields }) => ({ id, fields: fields.map(textOf) })),
    lastId,
    firstId,
    maxDeletedId,
    entriesAdded,
    groups: groups.map((group) => ({
      ...group,
      name: textOf(group.name),
      consumers: group.consumers.map((consumer) => ({ ...consumer, name: textOf(consumer.name) })),
    })),
  }
}

/** One JSON object a key, which `import` reads back byte for byte. */
export class NdjsonWriter implements ExportWriter {
  private readonly sink: Pick<ByteSink, 'write'>

  constructor(sink: Pick<ByteSink, 'write'>) {
    this.sink = sink
  }

  begin(): void {}

  record(record: SnapshotRecord): void {
    const { db, key, expireAt } = record
    const { type, value } = valueJson(record)
    this.sink.write(
      `${JSON.stringify({ db, key: textOf(key), type, ...(expireAt === 0 ? {} : { expireAt }), value })}\n`,
    )
  }

  library(): boolean {
    return false
  }

  end(): void {}
}
