import type { DecodedValue, SnapshotRecord } from '@ferrite-migrate/contracts'
import { decodeValue, digestValue } from '@ferrite-migrate/protocol'

const b = (text: string): Buffer => Buffer.from(text, 'latin1')

/** Values of every type that both ends must carry, awkward bytes included. */
export function sampleRecords(now = Date.now()): SnapshotRecord[] {
  const record = (key: Buffer, value: DecodedValue, expireAt = 0): SnapshotRecord => ({ db: 0, key, value, expireAt })
  const items = (type: 'string' | 'list' | 'set' | 'zset' | 'hash', ...list: string[]): DecodedValue => ({
    form: 'items',
    type,
    items: list.map(b),
  })
  return [
    record(b('string'), items('string', 'hello')),
    record(b('empty string'), items('string', '')),
    record(b('binary \0\r\n\xff'), items('string', '\xff\xfe\0')),
    record(b('expiring'), items('string', 'soon'), now + 3_600_000),
    record(b('list'), items('list', 'a', 'b', 'a', '')),
    record(b('set'), items('set', 'x', 'y', '10')),
    record(b('hash'), items('hash', 'f', 'v', 'g', ''), now + 7_200_000),
    record(b('zset'), items('zset', 'm', '3.0000000000000004', 'top', 'inf', 'low', '-inf')),
    record(b('stream'), {
      form: 'stream',
      type: 'stream',
      entries: [
        { id: '5-1', fields: [b('a'), b('1')] },
        { id: '6-0', fields: [b('a'), b('2'), b('b'), b('3')] },
      ],
      lastId: '6-0',
      firstId: '5-1',
      maxDeletedId: '0-0',
      entriesAdded: '2',
      groups: [
        {
          name: b('g'),
          lastId: '5-1',
          entriesRead: '1',
          pending: [{ id: '5-1', deliveredAt: now, deliveryCount: 2 }],
          consumers: [{ name: b('c'), seenAt: now, activeAt: now, pending: ['5-1'] }],
        },
      ],
    }),
  ]
}

/** The digest of a value that is held whole. */
export function digestOf(record: SnapshotRecord): string {
  const { value } = record
  if (value.form === 'sliced') throw new Error('a sliced value where a whole one was expected')
  return digestValue(value.form === 'rdb' ? decodeValue(value.type, value.body, value.rdbVersion) : value).toString(
    'hex',
  )
}
