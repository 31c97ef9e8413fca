import { MigrateError, type SlicedValue, type SnapshotRecord, type Value } from '@ferrite-migrate/contracts'
import { isUnknownType, parseDump, parseFerritePayload, type Reply, ReplyError } from '@ferrite-migrate/protocol'
import { endOf, GONE } from './key-expiry.js'
import type { MemoryUse } from './memory-use.js'
import type { ReaderLinks } from './reader-links.js'
import { readSlices, readStream, readWhole } from './value-reader.js'

const READABLE = ['string', 'list', 'set', 'zset', 'hash'] as const
const SLICEABLE = [...READABLE, 'stream'] as const

export interface RecordReaderOptions {
  /** DUMP has Ferrite's own format. */
  readonly ferrite: boolean
  readonly fieldExpiry: boolean
  /** Values above this many bytes come sliced unless read whole. */
  readonly sliceLimit: number
}

/** Reads keys with their values: by DUMP, and by the commands of their types where that does not do. */
export class RecordReader {
  private readonly links: ReaderLinks
  private readonly memory: MemoryUse
  private readonly options: RecordReaderOptions

  constructor(links: ReaderLinks, memory: MemoryUse, options: RecordReaderOptions) {
    this.links = links
    this.memory = memory
    this.options = options
  }

  async read(db: number, keys: readonly Buffer[], whole: boolean): Promise<readonly (SnapshotRecord | null)[]> {
    if (keys.length === 0) return []
    const { ferrite, sliceLimit } = this.options
    const large = whole || ferrite ? new Set<number>() : await this.memory.above(db, keys, sliceLimit)
    const command = await this.links.expiry(db, keys[0])
    const replies = await this.links.read(db, (out) => {
      keys.forEach((key, i) => {
        if (large.has(i)) out.call('TYPE', key)
        else out.call('DUMP', key)
        out.call(command, key)
      })
      return keys.length * 2
    })
    const now = Date.now()
    const records: (SnapshotRecord | null)[] = []
    for (let i = 0; i < keys.length; i++) {
      const expiry = replies[i * 2 + 1]
      if (expiry instanceof ReplyError) throw this.links.refused('PTTL', expiry)
      const told = Number(expiry)
      const key = keys[i]
      const reply = replies[i * 2]
      const value =
        told === GONE ? null : large.has(i) ? await this.sliced(db, key, reply) : await this.dumped(db, key, reply)
      records.push(value === null ? null : { db, key, value, expireAt: endOf(command, told, now) })
    }
    return records
  }

  /** A value in slices, whose type the server has told; whole where its type has no parts that are known here. */
  async sliced(db: number, key: Buffer, type: Reply): Promise<Value | null> {
    const name = String(type)
    if (name === 'none') return null
    const sliceable: SlicedValue['type'] | undefined = SLICEABLE.find((one) => one === name)
    if (sliceable !== undefined)
      return {
        form: 'sliced',
        type: sliceable,
        slices: readSlices(await this.links.get('read'), db, key, sliceable, this.options.fieldExpiry),
      }
    const [dump] = await this.links.read(db, (out) => {
      out.call('DUMP', key)
      return 1
    })
    return this.dumped(db, key, dump)
  }

  /** The value behind the answer of DUMP; null when the key is gone. */
  private async dumped(db: number, key: Buffer, reply: Reply): Promise<Value | null> {
    if (reply === null) return null
    if (reply instanceof ReplyError) {
      if (!this.options.ferrite) throw this.links.refused('DUMP', reply)
      return this.undumpable(db, key)
    }
    if (!Buffer.isBuffer(reply)) throw this.links.refused('DUMP', new ReplyError(String(reply)))
    if (this.options.ferrite) return parseFerritePayload(reply)
    const dumped = parseDump(reply, false)
    return isUnknownType(dumped.type, dumped.rdbVersion) ? this.unknown(db, key, dumped) : dumped
  }

  /** A value that Ferrite does not dump, by the commands of its type. */
  private async undumpable(db: number, key: Buffer): Promise<Value | null> {
    const type = await this.links.typeOf(db, key)
    if (type === 'none') return null
    const value = await this.typed(db, key, type, false)
    if (value !== undefined) return value
    throw new MigrateError(
      'FM_VALUE_UNREADABLE',
      `the server can neither dump nor read the value of type ${String(type)} of ${key.toString('latin1').slice(0, 100)}`,
      'Exclude the key; docs/ferrite.md lists what Ferrite cannot give back.',
    )
  }

  /** A value whose form in a dump is not known here, by the commands of its type; as it was dumped, where that is new too. */
  private async unknown(db: number, key: Buffer, dumped: Value): Promise<Value | null> {
    const type = await this.links.typeOf(db, key)
    if (type === 'none') return null
    const value = await this.typed(db, key, type, this.options.fieldExpiry)
    return value === undefined ? dumped : value
  }

  /** Undefined when no commands for the type are known. */
  private async typed(db: number, key: Buffer, type: Reply, fieldExpiry: boolean): Promise<Value | null | undefined> {
    const link = await this.links.get('read')
    if (type === 'stream') return readStream(link, db, key)
    const readable = READABLE.find((one) => one === type)
    return readable && readWhole(link, db, key, readable, fieldExpiry)
  }
}
