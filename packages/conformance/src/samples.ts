import { type DecodedValue, type KeyType, type SnapshotRecord, stringRecord } from '@ferrite-migrate/contracts'
import { decodeValue, digestValue } from '@ferrite-migrate/protocol'

/** The types of values that the kit has samples of. */
export type SampleType = Exclude<KeyType, 'module'>

/** All of them. */
export const SAMPLE_TYPES: readonly SampleType[] = ['string', 'list', 'set', 'zset', 'hash', 'stream']

const b = (text: string): Buffer => Buffer.from(text, 'latin1')

/** Values of every type that both ends must carry, awkward bytes included; `types` for a store that cannot hold all. */
export function sampleRecords(now = Date.now(), types: readonly SampleType[] = SAMPLE_TYPES): SnapshotRecord[] {
  const record = (key: Buffer, value: DecodedValue, expireAt = 0): SnapshotRecord => ({ db: 0, key, value, expireAt })
  const items = (type: 'list' | 'set' | 'zset' | 'hash', ...list: string[]): DecodedValue => ({
    form: 'items',
    type,
    items: list.map(b),
  })
  const samples: Readonly<Record<SampleType, SnapshotRecord[]>> = {
    string: [
      stringRecord('string', 'hello'),
      stringRecord('empty string', ''),
      stringRecord(b('binary \0\r\n\xff'), b('\xff\xfe\0')),
      stringRecord('expiring', 'soon', { expireAt: now + 3_600_000 }),
    ],
    list: [record(b('list'), items('list', 'a', 'b', 'a', ''))],
    set: [record(b('set'), items('set', 'x', 'y', '10'))],
    hash: [record(b('hash'), items('hash', 'f', 'v', 'g', ''), now + 7_200_000)],
    zset: [record(b('zset'), items('zset', 'm', '3.0000000000000004', 'top', 'inf', 'low', '-inf'))],
    stream: [
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
    ],
  }
  return SAMPLE_TYPES.filter((type) => types.includes(type)).flatMap((type) => samples[type])
}

/** A value that is held whole, decoded. */
export function decodedOf({ value }: SnapshotRecord): DecodedValue {
  if (value.form === 'sliced') throw new Error('a sliced value where a whole one was expected')
  return value.form === 'rdb' ? decodeValue(value.type, value.body, value.rdbVersion) : value
}

/** The digest of a value that is held whole. */
export function digestOf(record: SnapshotRecord): string {
  return digestValue(decodedOf(record)).toString('hex')
}

/** A key as it is named in messages. */
export function nameOf(key: Buffer): string {
  return JSON.stringify(key.toString('latin1'))
}
