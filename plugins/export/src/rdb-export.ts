import { type ItemsValue, MigrateError, type SnapshotRecord } from '@ferrite-migrate/contracts'
import { Crc64, Opcode, RdbType, VALKEY_RDB_VERSION } from '@ferrite-migrate/protocol'
import type { ByteSink } from './byte-sink.js'
import type { ExportWriter } from './export-writer.js'

/** What every server since Redis 5 reads, for sources whose values are not an RDB's own. */
const PLAIN_VERSION = 9
const FUNCTIONS_FROM = 10

/** An RDB file: values of a Redis or Valkey as they are, others in the plain encodings. Layout: docs/rdb.md. */
export class RdbExport implements ExportWriter {
  private readonly sink: ByteSink
  private readonly crc = new Crc64()
  private version = PLAIN_VERSION
  private db = -1

  constructor(sink: ByteSink) {
    this.sink = sink
  }

  private put(bytes: Buffer): void {
    this.crc.update(bytes)
    this.sink.write(bytes)
  }

  begin(rdbVersion: number | undefined): void {
    this.version = rdbVersion ?? PLAIN_VERSION
    const magic = this.version >= VALKEY_RDB_VERSION ? 'VALKEY' : 'REDIS'
    this.put(Buffer.from(`${magic}${String(this.version).padStart(magic === 'REDIS' ? 4 : 3, '0')}`))
    this.put(Buffer.concat([Buffer.from([Opcode.aux]), text('ferrite-migrate'), text('export')]))
  }

  record({ db, key, value, expireAt }: SnapshotRecord): void {
    const parts: Buffer[] = []
    if (db !== this.db) parts.push(Buffer.from([Opcode.selectDb]), length(db))
    this.db = db
    if (expireAt > 0) {
      const at = Buffer.alloc(9)
      at[0] = Opcode.expireTimeMs
      at.writeBigUInt64LE(BigInt(expireAt), 1)
      parts.push(at)
    }
    if (value.form === 'rdb') {
      if (value.rdbVersion !== this.version && value.type >= RdbType.valkeyHash2) throw unfit(key, 'its encoding')
      parts.push(Buffer.from([value.type]), text(key), value.body)
    } else if (value.form === 'items')
      parts.push(Buffer.from([plainType(value.type)]), text(key), ...plainBody(key, value))
    else throw unfit(key, value.form === 'stream' ? 'a stream that was read by commands' : 'a value in slices')
    // A body may lie in a block that the source uses again.
    this.put(Buffer.concat(parts))
  }

  library(source: Buffer): boolean {
    if (this.version < FUNCTIONS_FROM) return false
    this.put(Buffer.concat([Buffer.from([Opcode.function2]), text(source)]))
    return true
  }

  end(): void {
    this.put(Buffer.from([Opcode.eof]))
    const trailer = Buffer.alloc(8)
    this.crc.write(trailer, 0)
    this.sink.write(trailer)
  }
}

function unfit(key: Buffer, what: string): MigrateError {
  return new MigrateError(
    'FM_EXPORT_VALUE',
    `${what} cannot be written into an RDB (${key.toString('latin1').slice(0, 100)})`,
    'Export NDJSON, or leave such keys out by --type.',
  )
}

function plainType(type: ItemsValue['type']): number {
  return { string: RdbType.string, list: RdbType.list, set: RdbType.set, hash: RdbType.hash, zset: RdbType.zset2 }[type]
}

function plainBody(key: Buffer, { type, items, fieldExpireAt }: ItemsValue): Buffer[] {
  if (fieldExpireAt !== undefined) throw unfit(key, 'a hash with expiring fields that was read by commands')
  if (type === 'string') return [text(items[0])]
  if (type === 'list' || type === 'set') return [length(items.length), ...items.map(text)]
  const parts = [length(items.length / 2)]
  for (let at = 0; at < items.length; at += 2) {
    parts.push(text(items[at]))
    if (type === 'hash') parts.push(text(items[at + 1]))
    else {
      const score = Buffer.alloc(8)
      const said = items[at + 1].toString('latin1')
      score.writeDoubleLE(said === 'inf' ? Infinity : said === '-inf' ? -Infinity : Number(said))
      parts.push(score)
    }
  }
  return parts
}

function length(value: number): Buffer {
  if (value < 64) return Buffer.from([value])
  if (value < 16_384) return Buffer.from([0x40 | (value >> 8), value & 255])
  const out = Buffer.alloc(5)
  out[0] = 0x80
  out.writeUInt32BE(value, 1)
  return out
}

function text(bytes: Buffer | string): Buffer {
  const data = Buffer.from(bytes as string)
  return Buffer.concat([length(data.length), data])
}
