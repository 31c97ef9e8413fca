/** The types of a key as Redis names them; `module` values can only travel raw. */
export type KeyType = 'string' | 'list' | 'set' | 'zset' | 'hash' | 'stream' | 'module'

/**
 * A value as the source holds it: the RDB type byte and the body that follows it, without the footer that
 * DUMP adds. `rdbVersion` says which dialect the type number belongs to: 80 and above is Valkey's, where types
 * from 22 on mean other things than in Redis. `body` may point into a block that the source reuses: it is valid
 * until the event it came with is released.
 */
export interface RdbValue {
  readonly form: 'rdb'
  readonly type: number
  readonly body: Buffer
  readonly rdbVersion: number
}

/**
 * A decoded value, flat as a Redis reply: list and set elements; hash field, value, field, value; zset member,
 * score (decimal text that reads back to the same double; `inf`, `-inf`, `nan`); a string is one item.
 */
export interface ItemsValue {
  readonly form: 'items'
  readonly type: 'string' | 'list' | 'set' | 'zset' | 'hash'
  readonly items: readonly Buffer[]
  /** Hashes with field expiry only: one absolute time in ms per field, 0 = none. */
  readonly fieldExpireAt?: readonly number[]
}

/** Ids are `<ms>-<seq>` in decimal; counters are decimal text where they may pass 2^53. */
export interface StreamEntry {
  readonly id: string
  readonly fields: readonly Buffer[]
}

export interface StreamPending {
  readonly id: string
  /** Absolute ms. */
  readonly deliveredAt: number
  readonly deliveryCount: number
}

export interface StreamConsumer {
  readonly name: Buffer
  /** Absolute ms. */
  readonly seenAt: number
  /** Absolute ms, -1 = unknown (before Redis 7.2). */
  readonly activeAt: number
  readonly pending: readonly string[]
}

export interface StreamGroup {
  readonly name: Buffer
  readonly lastId: string
  /** Decimal text, '-1' = unknown. */
  readonly entriesRead: string
  readonly pending: readonly StreamPending[]
  readonly consumers: readonly StreamConsumer[]
}

export interface StreamValue {
  readonly form: 'stream'
  readonly type: 'stream'
  readonly entries: readonly StreamEntry[]
  readonly lastId: string
  readonly firstId: string
  readonly maxDeletedId: string
  /** Decimal text, '-1' where the source's format does not carry it. */
  readonly entriesAdded: string
  readonly groups: readonly StreamGroup[]
  /** How many producers have left ids that keep XADD from adding twice (Redis 8.6); only the raw form carries them. */
  readonly producers?: number
}

/** One slice of a value above the size limit: items as in ItemsValue, or bytes to append for a string. */
export interface ValueSlice {
  readonly items: readonly Buffer[]
  readonly fieldExpireAt?: readonly number[]
  /** Streams only: entries of this slice, and on the last slice all but the entries. */
  readonly entries?: readonly StreamEntry[]
  readonly stream?: StreamValue
}

/**
 * A value too large to hold: its slices come one at a time and must be read to the end, in order, before the
 * source can go on. Each slice is valid until the next one is asked for.
 */
export interface SlicedValue {
  readonly form: 'sliced'
  readonly type: Exclude<KeyType, 'module'>
  readonly slices: AsyncIterable<ValueSlice>
}

export type Value = RdbValue | ItemsValue | StreamValue | SlicedValue
/** A value held whole and decoded. */
export type DecodedValue = ItemsValue | StreamValue
