import {
  type DecodedValue,
  type DirtyKey,
  type KeyDescription,
  type KeyFilter,
  type KeyReader,
  MigrateError,
  type RawPage,
  SLICED_SHAPE,
  type SnapshotRecord,
  type Value,
} from '@ferrite-migrate/contracts'
import {
  type DigestOptions,
  decodeValue,
  digestValue,
  isOpaque,
  isUnknownType,
  parseDump,
  parseFerritePayload,
  type Reply,
  ReplyError,
  SLICE_LIMIT,
} from '@ferrite-migrate/protocol'
import { isOwnKey } from './checkpoint-key.js'
import type { Endpoint } from './endpoint.js'
import { databaseSizes } from './info.js'
import { RedisLink, type WireTrace } from './link.js'
import { rawRecords, SHAPE, shapeOf, writeRead } from './raw-page.js'
import { RawReader, splitReplies } from './raw-reader.js'
import { readSlices, readStream, readWhole } from './value-reader.js'

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

const SCAN_COUNT = 1000
/** Encodings that no large value has. */
const PACKED = new Set(['int', 'embstr', 'listpack', 'ziplist', 'intset', 'listpackex'])
const LENGTHS: Readonly<Record<string, string>> = {
  list: 'LLEN',
  set: 'SCARD',
  zset: 'ZCARD',
  hash: 'HLEN',
  stream: 'XLEN',
}
const READABLE = ['string', 'list', 'set', 'zset', 'hash'] as const
/** Of the keys that were there all the time a SCAN gives all; writers and expiries explain a small difference. */
const SCAN_SHARE = 0.9

/** Where a SCAN stands: a database, and its cursor in it. */
export interface ScanPlace {
  readonly db: number
  readonly cursor: string
}

/** Reads keys of a Redis-compatible server over two connections of its own: one to scan, one to read. */
export class RedisKeyReader implements KeyReader {
  private readonly endpoint: Endpoint
  private readonly options: RedisKeyReaderOptions
  private readonly links = new Map<string, Promise<RedisLink>>()
  private expireTime: boolean | undefined
  private memoryUsage = true
  private rawReader: RawReader | null = null

  constructor(endpoint: Endpoint, options: RedisKeyReaderOptions = {}) {
    this.endpoint = endpoint
    this.options = options
  }

  private link(use: 'scan' | 'read'): Promise<RedisLink> {
    let link = this.links.get(use)
    if (link === undefined) {
      const { trace = null, signal } = this.options
      // Also who stops may have to ask something; only patience is short then.
      link = RedisLink.open(this.endpoint, trace).then((open) => {
        open.hurryAfter(signal)
        return open
      })
      this.links.set(use, link)
      const forget = (): void => {
        if (this.links.get(use) === link) this.links.delete(use)
      }
      link.then((open) => open.closed.then(forget), forget)
    }
    return link
  }

  async size(): Promise<ReadonlyMap<number, number>> {
    return databaseSizes(await this.link('scan'))
  }

  async *keys(filter: KeyFilter = {}): AsyncGenerator<readonly DirtyKey[]> {
    for await (const { keys } of this.scan(filter)) yield keys
  }

  /**
   * All keys, each page with the place where the next one starts.
   * @param from such a place of an earlier scan of the same server: keys of before are left out
   */
  async *scan(
    filter: KeyFilter = {},
    from?: ScanPlace,
  ): AsyncGenerator<{ keys: readonly DirtyKey[]; next: ScanPlace }> {
    const sizes = await this.size()
    for (const [db, size] of [...sizes].sort(([x], [y]) => x - y)) {
      if ((filter.dbs && !filter.dbs.includes(db)) || db < (from?.db ?? 0)) continue
      const start = from?.db === db ? from.cursor : '0'
      if (from?.db === db && start === 'end') continue
      let seen = 0
      for await (const page of this.options.ferrite ? this.onePage(db, size) : this.pages(db, filter.match, start)) {
        seen += page.keys.length
        const keys = page.keys.filter((key) => !isOwnKey(key))
        if (keys.length > 0)
          yield {
            keys: keys.map((key) => ({ db, key })),
            next: { db, cursor: page.cursor === '0' ? 'end' : page.cursor },
          }
      }
      if (filter.match === undefined && start === '0') await this.checkComplete(db, size, seen)
    }
  }

  /** A SCAN that skips keys must not pass for a whole one. */
  private async checkComplete(db: number, before: number, seen: number): Promise<void> {
    const after = (await this.size()).get(db) ?? 0
    const expected = Math.min(before, after)
    if (seen >= expected * SCAN_SHARE) return
    throw new MigrateError(
      'FM_SCAN_INCOMPLETE',
      `SCAN of ${this.endpoint.label} gave ${seen} of ${expected} keys of database ${db}`,
      'The server skips keys while scanning: read it by --capture psync, or report it with the version.',
    )
  }

  private async *pages(
    db: number,
    match: Buffer | undefined,
    start: string,
  ): AsyncGenerator<{ keys: Buffer[]; cursor: string }> {
    // The next page is asked for while this one is worked on.
    let page = this.page(db, match, start)
    for (;;) {
      const { keys, cursor } = await page
      const last = cursor === '0'
      if (!last) {
        page = this.page(db, match, cursor)
        // Whoever stops reading leaves this one unanswered.
        page.catch(() => undefined)
      }
      yield { keys, cursor }
      if (last) return
    }
  }

  private async page(
    db: number,
    match: Buffer | undefined,
    cursor: string,
  ): Promise<{ keys: Buffer[]; cursor: string }> {
    const link = await this.link('scan')
    const [reply] = await link.pipeline((out) => {
      if (match === undefined) out.call('SCAN', cursor, 'COUNT', SCAN_COUNT)
      else out.call('SCAN', cursor, 'MATCH', match, 'COUNT', SCAN_COUNT)
      return 1
    }, db)
    if (reply instanceof ReplyError) throw this.refused('SCAN', reply)
    const [next, keys] = reply as [Buffer, Buffer[]]
    return { keys, cursor: String(next) }
  }

  /** Ferrite: only a page that holds every key is complete. Grows until it is, in pieces of 1000 keys. */
  private async *onePage(db: number, size: number): AsyncGenerator<{ keys: Buffer[]; cursor: string }> {
    let count = size + 1000
    for (let attempt = 0; attempt < 8; attempt++) {
      const link = await this.link('scan')
      const [reply] = await link.pipeline((out) => {
        out.call('SCAN', '0', 'COUNT', count)
        return 1
      }, db)
      if (reply instanceof ReplyError) throw this.refused('SCAN', reply)
      const [next, keys] = reply as [Buffer, Buffer[]]
      if (String(next) === '0') {
        for (let from = 0; from < keys.length; from += SCAN_COUNT)
          yield { keys: keys.slice(from, from + SCAN_COUNT), cursor: '0' }
        return
      }
      count *= 2
    }
    throw new MigrateError(
      'FM_SCAN_INCOMPLETE',
      `${this.endpoint.label} never gave all its keys in one page`,
      'Try again when fewer keys are being added.',
      { retryable: true },
    )
  }

  async expiries(db: number, keys: readonly Buffer[]): Promise<readonly number[]> {
    if (keys.length === 0) return []
    const link = await this.link('read')
    const absolute = await this.hasExpireTime(link, db, keys[0])
    const replies = await link.pipeline((out) => {
      for (const key of keys) out.call(absolute ? 'PEXPIRETIME' : 'PTTL', key)
      return keys.length
    }, db)
    const now = Date.now()
    return replies.map((reply) => {
      if (reply instanceof ReplyError) throw this.refused('PTTL', reply)
      const ttl = Number(reply)
      return ttl === -2 ? -1 : ttl < 0 ? 0 : absolute ? ttl : now + ttl
    })
  }

  private async hasExpireTime(link: RedisLink, db: number, key: Buffer): Promise<boolean> {
    if (this.expireTime === undefined) {
      const [probe] = await link.pipeline((out) => {
        out.call('PEXPIRETIME', key)
        return 1
      }, db)
      this.expireTime = !(probe instanceof ReplyError)
    }
    return this.expireTime
  }

  async describe(db: number, keys: readonly Buffer[]): Promise<readonly (KeyDescription | null)[]> {
    if (keys.length === 0) return []
    const link = await this.link('read')
    const absolute = await this.hasExpireTime(link, db, keys[0])
    const first = await link.pipeline((out) => {
      for (const key of keys) {
        out.call('TYPE', key)
        out.call('OBJECT', 'ENCODING', key)
        out.call('MEMORY', 'USAGE', key)
        out.call(absolute ? 'PEXPIRETIME' : 'PTTL', key)
      }
      return keys.length * 4
    }, db)
    const types = keys.map((_, i) => String(first[i * 4]))
    const lengths = await link.pipeline((out) => {
      let calls = 0
      for (const [i, key] of keys.entries()) {
        const command = LENGTHS[types[i]]
        if (command === undefined) continue
        out.call(command, key)
        calls++
      }
      return calls
    }, db)
    const now = Date.now()
    let length = 0
    return keys.map((_, i): KeyDescription | null => {
      const [encoding, memory, expiry] = first.slice(i * 4 + 1, i * 4 + 4)
      const elements = LENGTHS[types[i]] === undefined ? 1 : Number(lengths[length++])
      const ttl = Number(expiry)
      if (types[i] === 'none' || ttl === -2) return null
      return {
        type: types[i],
        encoding: encoding instanceof ReplyError || encoding === null ? 'unknown' : String(encoding),
        bytes: memory instanceof ReplyError || memory === null ? null : Number(memory),
        elements: Number.isFinite(elements) ? elements : 1,
        expireAt: !Number.isFinite(ttl) || ttl < 0 ? 0 : absolute ? ttl : now + ttl,
      }
    })
  }

  async shapes(db: number, keys: readonly Buffer[], limit: number): Promise<Uint8Array> {
    const shapes = new Uint8Array(keys.length)
    const raw = this.rawLink()
    const bytes = await raw.call((out) => {
      out.call('SELECT', db)
      for (const key of keys) {
        out.call('TYPE', key)
        out.call('OBJECT', 'ENCODING', key)
      }
      return keys.length * 2 + 1
    }, true)
    const replies = splitReplies(bytes ?? Buffer.alloc(0))
    const unsure: number[] = []
    for (let i = 0; i < keys.length; i++) {
      const type = replies[i * 2 + 1]?.toString('latin1') ?? ''
      const encoding = replies[i * 2 + 2]?.toString('latin1') ?? ''
      shapes[i] = shapeOf(type, encoding)
      if (!PACKED.has(encoding)) unsure.push(i)
    }
    if (unsure.length > 0) await this.findLarge(db, keys, unsure, shapes, limit)
    return shapes
  }

  /** Of the keys that may be large, finds those that are: strings by their length, others by their memory. */
  private async findLarge(
    db: number,
    keys: readonly Buffer[],
    unsure: readonly number[],
    shapes: Uint8Array,
    limit: number,
  ): Promise<void> {
    const bytes = await this.rawLink().call((out) => {
      out.call('SELECT', db)
      for (const i of unsure) {
        if (shapes[i] === SHAPE.string) out.call('STRLEN', keys[i])
        else out.call('MEMORY', 'USAGE', keys[i])
      }
      return unsure.length + 1
    }, true)
    const replies = splitReplies(bytes ?? Buffer.alloc(0))
    for (const [n, i] of unsure.entries()) {
      const reply = replies[n + 1]
      // A server that does not tell answers an error, which is no number.
      if (Buffer.isBuffer(reply) && Number(reply.toString('latin1')) > limit) shapes[i] = SLICED_SHAPE
    }
  }

  async raw(db: number, keys: readonly Buffer[], shapes: Uint8Array): Promise<RawPage | null> {
    if (this.options.ferrite || keys.length === 0) return null
    if (!(await this.hasExpireTime(await this.link('read'), db, keys[0]))) return null
    const bytes = await this.rawLink().call((out) => {
      // Always, so that the same pages have the same bytes.
      out.call('SELECT', db)
      for (const [i, key] of keys.entries()) {
        writeRead(out, shapes[i], key)
        out.call('PEXPIRETIME', key)
      }
      return keys.length * 2 + 1
    }, false)
    return bytes === null ? null : { bytes, records: () => rawRecords(db, keys, shapes, bytes) }
  }

  private rawLink(): RawReader {
    this.rawReader ??= new RawReader(this.endpoint, this.options.trace ?? null, this.options.signal)
    return this.rawReader
  }

  async readSliced(db: number, key: Buffer): Promise<SnapshotRecord | null> {
    const [type] = await (await this.link('read')).pipeline((out) => {
      out.call('TYPE', key)
      return 1
    }, db)
    const [expireAt] = await this.expiries(db, [key])
    const value = expireAt === -1 ? null : await this.value(db, key, type, true)
    return value === null ? null : { db, key, value, expireAt }
  }

  async exist(db: number, keys: readonly Buffer[]): Promise<readonly boolean[]> {
    const link = await this.link('read')
    const replies = await link.pipeline((out) => {
      for (const key of keys) out.call('EXISTS', key)
      return keys.length
    }, db)
    return replies.map((reply) => {
      if (reply instanceof ReplyError) throw this.refused('EXISTS', reply)
      return reply === 1
    })
  }

  async read(db: number, keys: readonly Buffer[], whole = false): Promise<readonly (SnapshotRecord | null)[]> {
    if (keys.length === 0) return []
    const limit = this.options.sliceLimit ?? SLICE_LIMIT
    const large = !whole && !this.options.ferrite ? await this.largeKeys(db, keys, limit) : new Set<number>()
    const link = await this.link('read')
    const absolute = await this.hasExpireTime(link, db, keys[0])
    const replies = await link.pipeline((out) => {
      keys.forEach((key, i) => {
        if (large.has(i)) out.call('TYPE', key)
        else out.call('DUMP', key)
        out.call(absolute ? 'PEXPIRETIME' : 'PTTL', key)
      })
      return keys.length * 2
    }, db)
    const now = Date.now()
    const records: (SnapshotRecord | null)[] = []
    for (let i = 0; i < keys.length; i++) {
      const expiry = replies[i * 2 + 1]
      if (expiry instanceof ReplyError) throw this.refused('PTTL', expiry)
      const ttl = Number(expiry)
      const value = ttl === -2 ? null : await this.value(db, keys[i], replies[i * 2], large.has(i))
      records.push(
        value === null ? null : { db, key: keys[i], value, expireAt: ttl < 0 ? 0 : absolute ? ttl : now + ttl },
      )
    }
    return records
  }

  /** Keys in groups whose values take about so many bytes at most, by what the server says of its memory. */
  async byBytes(db: number, keys: readonly Buffer[], most: number): Promise<readonly (readonly Buffer[])[]> {
    if (!this.memoryUsage || this.options.ferrite || keys.length === 0) return [[...keys]]
    const link = await this.link('read')
    const replies = await link.pipeline((out) => {
      for (const key of keys) out.call('MEMORY', 'USAGE', key, 'SAMPLES', 1)
      return keys.length
    }, db)
    const groups: Buffer[][] = []
    let bytes = Number.POSITIVE_INFINITY
    for (const [i, key] of keys.entries()) {
      const reply = replies[i]
      const size = reply instanceof ReplyError ? 0 : Number(reply ?? 0)
      if (bytes + size > most) {
        groups.push([])
        bytes = 0
      }
      bytes += size
      groups[groups.length - 1].push(key)
    }
    return groups
  }

  private async largeKeys(db: number, keys: readonly Buffer[], limit: number): Promise<Set<number>> {
    const large = new Set<number>()
    if (!this.memoryUsage) return large
    const link = await this.link('read')
    const replies = await link.pipeline((out) => {
      for (const key of keys) out.call('MEMORY', 'USAGE', key)
      return keys.length
    }, db)
    replies.forEach((reply, i) => {
      if (reply instanceof ReplyError) this.memoryUsage = false
      else if (Number(reply ?? 0) > limit) large.add(i)
    })
    return large
  }

  private async value(db: number, key: Buffer, reply: Reply, large: boolean): Promise<Value | null> {
    if (large) {
      const type = String(reply)
      if (type === 'none') return null
      if (['string', 'list', 'set', 'zset', 'hash', 'stream'].includes(type)) {
        const link = await this.link('read')
        const sliceType = type as 'string'
        return {
          form: 'sliced',
          type: sliceType,
          slices: readSlices(link, db, key, sliceType, this.options.digest?.fieldExpiry ?? false),
        }
      }
      const [dump] = await (await this.link('read')).pipeline((out) => {
        out.call('DUMP', key)
        return 1
      }, db)
      return this.value(db, key, dump, false)
    }
    if (reply === null) return null
    if (reply instanceof ReplyError) {
      if (!this.options.ferrite) throw this.refused('DUMP', reply)
      const link = await this.link('read')
      const [type] = await link.pipeline((out) => {
        out.call('TYPE', key)
        return 1
      }, db)
      if (type === 'none') return null
      if (type === 'stream') return readStream(link, db, key)
      const readable = READABLE.find((one) => one === type)
      if (readable !== undefined) return readWhole(link, db, key, readable, false)
      throw new MigrateError(
        'FM_VALUE_UNREADABLE',
        `the server can neither dump nor read the value of type ${String(type)} of ${key.toString('latin1').slice(0, 100)}`,
        'Exclude the key; docs/ferrite.md lists what Ferrite cannot give back.',
      )
    }
    if (!Buffer.isBuffer(reply)) throw this.refused('DUMP', new ReplyError(String(reply)))
    if (this.options.ferrite) return parseFerritePayload(reply)
    const dumped = parseDump(reply, false)
    return isUnknownType(dumped.type, dumped.rdbVersion) ? this.typed(db, key, dumped) : dumped
  }

  /** A value whose form in a dump is not known here, by the commands of its type; as it was dumped, where that is new too. */
  private async typed(db: number, key: Buffer, dumped: Value): Promise<Value | null> {
    const link = await this.link('read')
    const [reply] = await link.pipeline((out) => {
      out.call('TYPE', key)
      return 1
    }, db)
    const type = READABLE.find((one) => one === reply)
    if (reply === 'none') return null
    if (type === undefined) return reply === 'stream' ? readStream(link, db, key) : dumped
    return readWhole(link, db, key, type, this.options.digest?.fieldExpiry ?? false)
  }

  async digest(db: number, keys: readonly Buffer[]): Promise<readonly (Buffer | null)[]> {
    const records = await this.read(db, keys, true)
    return records.map((record) => (record === null ? null : digestRecord(record, this.options.digest)))
  }

  private refused(command: string, reply: ReplyError): MigrateError {
    return new MigrateError(
      'FM_SERVER_REFUSED',
      `${this.endpoint.label} answered ${command} with: ${reply.message.slice(0, 200)}`,
      'Give the user the rights listed in docs/permissions.md.',
      {
        retryable: /^(LOADING|BUSY|TRYAGAIN|CLUSTERDOWN|MASTERDOWN)/.test(reply.message),
      },
    )
  }

  async close(): Promise<void> {
    await this.rawReader?.close()
    for (const link of [...this.links.values()])
      await link.then(
        (open) => open.close(),
        () => undefined,
      )
  }
}

/** The logical digest of a record that is held whole. */
export function digestRecord(record: SnapshotRecord, options: DigestOptions = {}): Buffer {
  const { value } = record
  if (value.form === 'sliced')
    throw new MigrateError('FM_CONTRACT', 'a sliced value has no digest in one step', 'Read it whole.')
  if (value.form === 'rdb' && isOpaque(value.type, value.rdbVersion)) return Buffer.from(value.body)
  const decoded: DecodedValue = value.form === 'rdb' ? decodeValue(value.type, value.body, value.rdbVersion) : value
  return digestValue(decoded, options)
}
