import type { DirtyKey, SnapshotRecord } from './record.js'

export interface KeyFilter {
  readonly dbs?: readonly number[]
  /** Redis glob on bytes; a reader may ignore it and give more. */
  readonly match?: Buffer
  /** Names of shards whose keys are enough; a reader may ignore them and give more. */
  readonly shards?: readonly string[]
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

/** Values for a comparison of two readers, at the least that they cost their servers. */
export interface RawPages {
  /** What shapes and pages are made of: readers that say the same understand each other's. */
  readonly form: string
  /**
   * How each key is best read, by numbers of this form.
   * @param limit bytes; a value that takes more gets SLICED_SHAPE, where the server tells
   */
  shapes(db: number, keys: readonly Buffer[], limit: number): Promise<Uint8Array>
  /**
   * The cheapest form of `read`; null when a key is not what its shape says, or the server knows no such form. Several may be
   * under way at once.
   * @param shapes of either side, so that both read the same way; none is SLICED_SHAPE
   */
  page(db: number, keys: readonly Buffer[], shapes: Uint8Array): Promise<RawPage | null>
  /** One key in slices, whatever its size, null where it does not exist; the slices are read before the next call. */
  sliced(db: number, key: Buffer): Promise<SnapshotRecord | null>
}

/** What only some readers can do, or can do better than it is done by `read`: whoever wants it asks for it by its name. */
export interface ReaderAbilities {
  /** What the server says of the keys, null where a key does not exist; an analysis needs it. */
  describe(db: number, keys: readonly Buffer[]): Promise<readonly (KeyDescription | null)[]>
  /**
   * Digests that are equal iff the values are logically equal, whatever their encoding or order (digestValue of protocol), null
   * where a key does not exist. Otherwise they are made of what `read` gives.
   */
  digest(db: number, keys: readonly Buffer[]): Promise<readonly (Buffer | null)[]>
  /** The keys in groups whose values take about `most` bytes at most, by what the server says of its memory. Otherwise they are one. */
  byBytes(db: number, keys: readonly Buffer[], most: number): Promise<readonly (readonly Buffer[])[]>
  /** Otherwise a comparison reads values whole, however large they are. */
  readonly raw: RawPages
}

/** Reads keys of a store, without order or snapshot. Never yields a migration's own checkpoint keys. */
export interface KeyReader extends Partial<ReaderAbilities> {
  /** All keys, in batches of one db each; a key may come twice. */
  keys(filter?: KeyFilter): AsyncIterable<readonly DirtyKey[]>
  /** How many keys there are, per db. */
  size(): Promise<ReadonlyMap<number, number>>
  /**
   * Values and expiries, null where a key does not exist. Values above the size limit come sliced, and are read to
   * their end in order before the next call; with `whole` they are held in memory like any other.
   */
  read(db: number, keys: readonly Buffer[], whole?: boolean): Promise<readonly (SnapshotRecord | null)[]>
  /** When the keys end: absolute ms, 0 = never, -1 = there is no such key. */
  expiries(db: number, keys: readonly Buffer[]): Promise<readonly number[]>
  /** Which of the keys exist. */
  exist(db: number, keys: readonly Buffer[]): Promise<readonly boolean[]>
  close(): Promise<void>
}
