import type { DirtyKey, SnapshotRecord } from './record.js'

export interface KeyFilter {
  readonly dbs?: readonly number[]
  /** Redis glob on bytes; a reader may ignore it and give more. */
  readonly match?: Buffer
}

/** What a server says of a key without giving its value. */
export interface KeyDescription {
  readonly type: string
  /** The server's own name of how it is stored, such as listpack. */
  readonly encoding: string
  /** Memory that it takes; null = the server does not tell. */
  readonly bytes: number | null
  readonly elements: number
  /** Absolute ms, 0 = none. */
  readonly expireAt: number
}

/** The shape of a key that is too large to be read at once. */
export const SLICED_SHAPE = 255

/** Values and expiries as the server sent them: equal bytes are equal keys, while different bytes may be equal too. */
export interface RawPage {
  readonly bytes: Buffer
  /** The same taken apart; values are views. */
  records(): readonly (SnapshotRecord | null)[]
}

/** Reads keys of a store, without order or snapshot. Never yields a migration's own checkpoint keys. */
export interface KeyReader {
  /** All keys, in batches of one db each; a key may come twice. */
  keys(filter?: KeyFilter): AsyncIterable<readonly DirtyKey[]>
  /** How many keys there are, per db. */
  size(): Promise<ReadonlyMap<number, number>>
  /**
   * Values and expiries, null where a key does not exist. Values above the size limit come sliced, and are read to
   * their end in order before the next call; with `whole` they are held in memory like any other.
   */
  read(db: number, keys: readonly Buffer[], whole?: boolean): Promise<readonly (SnapshotRecord | null)[]>
  /** Digests that are equal iff the values are logically equal, whatever their encoding or order. */
  digest(db: number, keys: readonly Buffer[]): Promise<readonly (Buffer | null)[]>
  /** When the keys end: absolute ms, 0 = never, -1 = there is no such key. */
  expiries(db: number, keys: readonly Buffer[]): Promise<readonly number[]>
  /** What the server says of the keys, null where a key does not exist. */
  describe?(db: number, keys: readonly Buffer[]): Promise<readonly (KeyDescription | null)[]>
  /** How each key is best read for a comparison: by numbers that only `raw` of the same kind of reader understands; 255 = in slices. */
  shapes?(db: number, keys: readonly Buffer[], limit: number): Promise<Uint8Array>
  /**
   * The cheapest form of `read`; null when a key is not what its shape says. Several may be under way at once.
   * @param shapes of the other side, so that both read the same way
   */
  raw?(db: number, keys: readonly Buffer[], shapes: Uint8Array): Promise<RawPage | null>
  /** One key in slices, whatever its size; the slices are read before the next call. */
  readSliced?(db: number, key: Buffer): Promise<SnapshotRecord | null>
  /** The keys in groups whose values take about `most` bytes at most, by what the server says of its memory. */
  byBytes?(db: number, keys: readonly Buffer[], most: number): Promise<readonly (readonly Buffer[])[]>
  /** Which of the keys exist. */
  exist(db: number, keys: readonly Buffer[]): Promise<readonly boolean[]>
  close(): Promise<void>
}
