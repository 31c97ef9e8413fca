import type {
  DirtyKey,
  KeyDescription,
  KeyFilter,
  KeyReader,
  RawPage,
  RawPages,
  SnapshotRecord,
} from '@ferrite-migrate/contracts'
import { type DigestOptions, SLICE_LIMIT } from '@ferrite-migrate/protocol'
import type { Endpoint } from './endpoint.js'
import { KeyFacts } from './key-facts.js'
import { KeyScan, type ScannedKeys, type ScanPlace } from './key-scan.js'
import type { WireTrace } from './link.js'
import { MemoryUse } from './memory-use.js'
import { RawPageReader } from './raw-page-reader.js'
import { RawReader } from './raw-reader.js'
import { ReaderLinks } from './reader-links.js'
import { digestRecord } from './record-digest.js'
import { RecordReader } from './record-reader.js'

export interface RedisKeyReaderOptions {
  /** Ferrite's DUMP has a format of its own and its SCAN only one trustworthy page (see docs/ferrite.md). */
  readonly ferrite?: boolean
  readonly digest?: DigestOptions
  /** Values above this many bytes come sliced unless read whole. Default 16 MiB. */
  readonly sliceLimit?: number
  readonly trace?: WireTrace | null
  /** Aborted: nobody waits long any more. */
  readonly signal?: AbortSignal
}

/** Reads keys of a Redis-compatible server over connections of its own: one to scan, one to read, one for raw pages. */
export class RedisKeyReader implements KeyReader {
  private readonly endpoint: Endpoint
  private readonly options: RedisKeyReaderOptions
  private readonly links: ReaderLinks
  private readonly scanning: KeyScan
  private readonly facts: KeyFacts
  private readonly memory: MemoryUse
  private readonly records: RecordReader
  private pages: RawPageReader | null = null
  readonly raw: RawPages = {
    form: 'redis',
    shapes: (db, keys, limit) => this.pageReader().shapes(db, keys, limit),
    page: (db, keys, shapes) => this.page(db, keys, shapes),
    sliced: (db, key) => this.sliced(db, key),
  }

  constructor(endpoint: Endpoint, options: RedisKeyReaderOptions = {}) {
    const { ferrite = false, digest, sliceLimit = SLICE_LIMIT, trace = null, signal } = options
    this.endpoint = endpoint
    this.options = options
    this.links = new ReaderLinks(endpoint, trace, signal)
    this.scanning = new KeyScan(this.links, ferrite)
    this.facts = new KeyFacts(this.links)
    this.memory = new MemoryUse(this.links)
    this.records = new RecordReader(this.links, this.memory, {
      ferrite,
      sliceLimit,
      fieldExpiry: digest?.fieldExpiry ?? false,
    })
  }

  /** Only whoever compares reads raw pages. */
  private pageReader(): RawPageReader {
    const { trace = null, signal } = this.options
    this.pages ??= new RawPageReader(new RawReader(this.endpoint, trace, signal))
    return this.pages
  }

  size(): Promise<ReadonlyMap<number, number>> {
    return this.scanning.size()
  }

  async *keys(filter: KeyFilter = {}): AsyncGenerator<readonly DirtyKey[]> {
    for await (const { keys } of this.scan(filter)) yield keys
  }

  /**
   * All keys, each page with the place where the next one starts.
   * @param from such a place of an earlier scan of the same server: keys of before are left out
   */
  scan(filter: KeyFilter = {}, from?: ScanPlace): AsyncGenerator<ScannedKeys> {
    return this.scanning.keys(filter, from)
  }

  expiries(db: number, keys: readonly Buffer[]): Promise<readonly number[]> {
    return this.facts.expiries(db, keys)
  }

  describe(db: number, keys: readonly Buffer[]): Promise<readonly (KeyDescription | null)[]> {
    return this.facts.describe(db, keys)
  }

  exist(db: number, keys: readonly Buffer[]): Promise<readonly boolean[]> {
    return this.facts.exist(db, keys)
  }

  /** Of a node that is giving slots away: which of these keys it still has. Of others, whether they are there. */
  held(keys: readonly Buffer[]): Promise<readonly boolean[]> {
    return this.facts.held(keys)
  }

  private async page(db: number, keys: readonly Buffer[], shapes: Uint8Array): Promise<RawPage | null> {
    if (this.options.ferrite || keys.length === 0) return null
    if ((await this.links.expiry(db, keys[0])) !== 'PEXPIRETIME') return null
    return this.pageReader().read(db, keys, shapes)
  }

  read(db: number, keys: readonly Buffer[], whole = false): Promise<readonly (SnapshotRecord | null)[]> {
    return this.records.read(db, keys, whole)
  }

  private async sliced(db: number, key: Buffer): Promise<SnapshotRecord | null> {
    const type = await this.links.typeOf(db, key)
    const [expireAt] = await this.facts.expiries(db, [key])
    const value = expireAt === -1 ? null : await this.records.sliced(db, key, type)
    return value === null ? null : { db, key, value, expireAt }
  }

  /** Keys in groups whose values take about so many bytes at most, by what the server says of its memory. */
  async byBytes(db: number, keys: readonly Buffer[], most: number): Promise<readonly (readonly Buffer[])[]> {
    return this.options.ferrite ? [[...keys]] : this.memory.groups(db, keys, most)
  }

  async digest(db: number, keys: readonly Buffer[]): Promise<readonly (Buffer | null)[]> {
    const records = await this.read(db, keys, true)
    return records.map((record) => (record === null ? null : digestRecord(record, this.options.digest)))
  }

  async close(): Promise<void> {
    await this.pages?.close()
    await this.links.close()
  }
}
