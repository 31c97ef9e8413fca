import {
  type KeyDescription,
  type KeyReader,
  type RawPages,
  SLICED_SHAPE,
  type SnapshotRecord,
} from '@ferrite-migrate/contracts'
import { decodedOf, digestOf } from './samples.js'
import { elementsOf, slicedRecord } from './sliced-record.js'

const SLICE_ELEMENTS = 2

/** Keys in memory: the simplest thing that a source or a target can stand on. */
export class MemoryStore {
  readonly records = new Map<string, SnapshotRecord>()

  static name(db: number, key: Buffer): string {
    return `${db}:${key.toString('latin1')}`
  }

  set(record: SnapshotRecord): void {
    this.records.set(MemoryStore.name(record.db, record.key), record)
  }

  get(db: number, key: Buffer): SnapshotRecord | null {
    return this.records.get(MemoryStore.name(db, key)) ?? null
  }

  delete(db: number, key: Buffer): boolean {
    return this.records.delete(MemoryStore.name(db, key))
  }

  reader(): KeyReader {
    const { records } = this
    const each = <T>(db: number, keys: readonly Buffer[], answer: (record: SnapshotRecord) => T, none: T): T[] =>
      keys.map((key) => {
        const record = this.get(db, key)
        return record === null ? none : answer(record)
      })
    return {
      async *keys() {
        for (const { db, key } of records.values()) yield [{ db, key }]
      },
      size: async () => {
        const sizes = new Map<number, number>()
        for (const { db } of records.values()) sizes.set(db, (sizes.get(db) ?? 0) + 1)
        return sizes
      },
      read: async (db, keys) => each<SnapshotRecord | null>(db, keys, (record) => record, null),
      digest: async (db, keys) => each<Buffer | null>(db, keys, (record) => Buffer.from(digestOf(record), 'hex'), null),
      expiries: async (db, keys) => each(db, keys, ({ expireAt }) => expireAt, -1),
      describe: async (db, keys) => each<KeyDescription | null>(db, keys, describe, null),
      exist: async (db, keys) => each(db, keys, () => true, false),
      close: async () => undefined,
    }
  }

  /** The ability `raw` of a reader: with pages of its own form. */
  pages(): RawPages {
    const record = (db: number, key: Buffer): SnapshotRecord | null => this.get(db, key)
    return {
      form: 'memory',
      shapes: async (db, keys, limit) =>
        Uint8Array.from(keys, (key) => {
          const found = record(db, key)
          return found !== null && bytesOf(found) > limit ? SLICED_SHAPE : 0
        }),
      page: async (db, keys) => {
        const records = keys.map((key) => record(db, key))
        const parts = records.map((one) => (one === null ? 'none' : `${digestOf(one)} ${one.expireAt}`))
        return { bytes: Buffer.from(parts.join('\n')), records: () => records }
      },
      sliced: async (db, key) => {
        const found = record(db, key)
        return found === null ? null : slicedRecord(found, SLICE_ELEMENTS)
      },
    }
  }
}

function describe(record: SnapshotRecord): KeyDescription {
  return {
    type: decodedOf(record).type,
    encoding: 'memory',
    bytes: null,
    elements: elementsOf(record),
    expireAt: record.expireAt,
  }
}

function bytesOf(record: SnapshotRecord): number {
  const value = decodedOf(record)
  const items = value.form === 'stream' ? value.entries.flatMap(({ fields }) => fields) : value.items
  return items.reduce((sum, item) => sum + item.length, 0)
}
