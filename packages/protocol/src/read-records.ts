import type { DecodedValue, RdbValue, SnapshotRecord, StreamValue } from '@ferrite-migrate/contracts'
import { AofReader } from './aof-reader.js'
import { type ByteFeed, ByteWindow } from './byte-window.js'
import { decodeValue } from './rdb-decode.js'
import { RdbReader } from './rdb-reader.js'
import { isOpaque } from './rdb-type.js'

/** Bytes in pieces of any size: a stream of Node, a file, a list of Buffers. */
export type ByteChunks = AsyncIterable<Uint8Array> | Iterable<Uint8Array>

interface KeyFacts {
  readonly db: number
  readonly key: Buffer
  /** When the key ends, ms since 1970; 0 = never. */
  readonly expireAt: number
}

/** A key with its value as it stands in the file: what RESTORE takes, without its footer. */
export interface RawRecord extends KeyFacts {
  readonly value: RdbValue
}

/** A key with its value as one flat list of byte strings, or the entries of a stream. */
export interface ItemsRecord extends KeyFacts {
  readonly value: DecodedValue
}

/** A value as a program would hold it. All strings are bytes. */
export type TypedValue =
  | { readonly type: 'string'; readonly value: Buffer }
  | { readonly type: 'list' | 'set'; readonly value: readonly Buffer[] }
  | { readonly type: 'hash'; readonly value: readonly (readonly [field: Buffer, value: Buffer])[] }
  | { readonly type: 'zset'; readonly value: readonly (readonly [member: Buffer, score: number])[] }
  | { readonly type: 'stream'; readonly value: StreamValue }
  /** Of a module: bytes that only this module reads. */
  | { readonly type: 'module'; readonly value: Buffer }

/** A key with its value in the shape of its type. */
export type TypedRecord = KeyFacts & TypedValue

/** How far values are taken apart: not at all, into byte strings, into the shape of their type. */
export type RecordLevel = 'raw' | 'items' | 'typed'

/**
 * Reads the keys of an RDB. What it gives is copied, and stays valid; a whole value is held at a time.
 * @param chunks the file from its first byte; compressed ones have to be inflated before
 * @param level how values come, by default in the shape of their type
 * @throws MigrateError FM_RDB_TRUNCATED, FM_RDB_CORRUPT, FM_RDB_UNKNOWN, FM_RDB_CHECKSUM with the byte offset
 */
export function readRdb(chunks: ByteChunks): AsyncGenerator<TypedRecord>
export function readRdb(chunks: ByteChunks, level: 'raw'): AsyncGenerator<RawRecord>
export function readRdb(chunks: ByteChunks, level: 'items'): AsyncGenerator<ItemsRecord>
export function readRdb(chunks: ByteChunks, level: 'typed'): AsyncGenerator<TypedRecord>
export async function* readRdb(
  chunks: ByteChunks,
  level: RecordLevel = 'typed',
): AsyncGenerator<RawRecord | ItemsRecord | TypedRecord> {
  const window = new ByteWindow(feedOf(chunks))
  // No value comes in slices: whoever wants to read a file of huge values piece by piece uses RdbReader.
  const reader = new RdbReader(window, { checksum: true, sliceLimit: Number.POSITIVE_INFINITY })
  for await (const event of reader.read()) {
    if (event.kind !== 'records') continue
    for (const record of event.records) {
      const { db, expireAt } = record
      const raw = { db, key: Buffer.from(record.key), expireAt, value: copyOf(record) }
      if (level === 'raw') yield raw
      else if (isOpaque(raw.value.type, raw.value.rdbVersion)) {
        if (level === 'typed') yield { db, key: raw.key, expireAt, type: 'module', value: raw.value.body }
      } else {
        const value = decodeValue(raw.value.type, raw.value.body, raw.value.rdbVersion)
        yield level === 'items' ? { ...raw, value } : { db, key: raw.key, expireAt, ...typed(value) }
      }
    }
    event.block.release()
  }
}

/** A command of an append-only file. */
export interface AofCommand {
  readonly db: number
  /** Upper case. */
  readonly name: string
  /** The command word for word; its first is its name. */
  readonly argv: readonly Buffer[]
}

/**
 * Reads the commands of an append-only file without an RDB in front of them (the incremental part of an appendonlydir). A tail that
 * was cut off, as after a crash, is left out.
 * @throws MigrateError FM_AOF_CORRUPT with the byte offset
 */
export async function* readAof(chunks: ByteChunks): AsyncGenerator<AofCommand> {
  for await (const batch of new AofReader(new ByteWindow(feedOf(chunks))).read()) {
    for (const { db, name, argv } of batch.records) yield { db, name, argv: argv.map((word) => Buffer.from(word)) }
    batch.release()
  }
}

function feedOf(chunks: ByteChunks): ByteFeed {
  const iterator = Symbol.asyncIterator in chunks ? chunks[Symbol.asyncIterator]() : chunks[Symbol.iterator]()
  return {
    next: async () => {
      const { done, value } = await iterator.next()
      return done === true ? null : Buffer.from(value.buffer, value.byteOffset, value.byteLength)
    },
  }
}

function copyOf({ value }: SnapshotRecord): RdbValue {
  if (value.form !== 'rdb') throw new TypeError('a reader of RDBs gave a value that is none')
  const { type, rdbVersion, body } = value
  return { form: 'rdb', type, rdbVersion, body: Buffer.from(body) }
}

function typed(value: DecodedValue): TypedValue {
  if (value.form === 'stream') return { type: 'stream', value }
  const { items, type } = value
  switch (type) {
    case 'string':
      return { type, value: items[0] }
    case 'hash':
      return { type, value: pairs(items, (field, one) => [field, one] as const) }
    case 'zset':
      return { type, value: pairs(items, (member, score) => [member, scoreOf(score)] as const) }
    default:
      return { type, value: items }
  }
}

function pairs<T>(items: readonly Buffer[], pair: (first: Buffer, second: Buffer) => T): T[] {
  const made: T[] = []
  for (let at = 0; at + 1 < items.length; at += 2) made.push(pair(items[at], items[at + 1]))
  return made
}

function scoreOf(text: Buffer): number {
  const word = text.toString('latin1')
  return word === 'inf' ? Number.POSITIVE_INFINITY : word === '-inf' ? Number.NEGATIVE_INFINITY : Number(word)
}
