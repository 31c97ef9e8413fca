import { type RawPage, SLICED_SHAPE } from '@ferrite-migrate/contracts'
import { rawRecords, SHAPE, shapeOf, writeRead } from './raw-page.js'
import { type RawReader, splitReplies } from './raw-reader.js'

/** Encodings that no large value has. */
const PACKED = new Set(['int', 'embstr', 'listpack', 'ziplist', 'intset', 'listpackex'])

/** Reads pages of keys as bytes, of which nothing is made before somebody asks. */
export class RawPageReader {
  private readonly reader: RawReader

  constructor(reader: RawReader) {
    this.reader = reader
  }

  /** How each key is to be read; SLICED_SHAPE where its value has more bytes than the limit. */
  async shapes(db: number, keys: readonly Buffer[], limit: number): Promise<Uint8Array> {
    const shapes = new Uint8Array(keys.length)
    const bytes = await this.reader.call((out) => {
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
    const bytes = await this.reader.call((out) => {
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

  /** Null when the server refused one of the keys. */
  async read(db: number, keys: readonly Buffer[], shapes: Uint8Array): Promise<RawPage | null> {
    const bytes = await this.reader.call((out) => {
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

  async close(): Promise<void> {
    await this.reader.close()
  }
}
