import { Crc64 } from '../dist/index.js'

/** Builds RDB files in encodings that today's servers no longer write; for tests only. Layouts: docs/rdb.md. */
export class RdbWriter {
  private readonly parts: Buffer[] = []

  constructor(version: number, magic = 'REDIS') {
    this.raw(Buffer.from(magic === 'REDIS' ? `REDIS${String(version).padStart(4, '0')}` : `VALKEY${version}`))
  }

  raw(bytes: Buffer | readonly number[]): this {
    this.parts.push(Buffer.from(bytes as Buffer))
    return this
  }

  /** A record: type byte, key, body. */
  record(type: number, key: string, body: Buffer): this {
    return this.raw([type]).raw(rdbString(key)).raw(body)
  }

  /** With the trailer that this version has. */
  end(version: number): Buffer {
    this.raw([0xff])
    const body = Buffer.concat(this.parts)
    if (version < 5) return body
    const trailer = Buffer.alloc(8)
    new Crc64().update(body).write(trailer, 0)
    return Buffer.concat([body, trailer])
  }
}

export function rdbLength(value: number, form: 'short' | '32' | '64' = 'short'): Buffer {
  if (form === '64') {
    const out = Buffer.alloc(9)
    out[0] = 0x81
    out.writeBigUInt64BE(BigInt(value), 1)
    return out
  }
  if (form === '32' || value >= 1 << 14) {
    const out = Buffer.alloc(5)
    out[0] = 0x80
    out.writeUInt32BE(value, 1)
    return out
  }
  return value < 64 ? Buffer.from([value]) : Buffer.from([0x40 | (value >> 8), value & 255])
}

export function rdbString(text: string | Buffer, form: 'short' | '32' | '64' = 'short'): Buffer {
  const bytes = Buffer.from(text as string)
  return Buffer.concat([rdbLength(bytes.length, form), bytes])
}

/** A ziplist of these elements; numbers are written as integers of the smallest width. */
export function ziplist(elements: readonly (string | number)[]): Buffer {
  const parts: Buffer[] = []
  let previous = 0
  for (const element of elements) {
    const prev = previous < 254 ? Buffer.from([previous]) : Buffer.concat([Buffer.from([0xfe]), u32(previous)])
    const entry = Buffer.concat([prev, typeof element === 'number' ? zipInteger(element) : zipText(element)])
    parts.push(entry)
    previous = entry.length
  }
  const body = Buffer.concat(parts)
  const header = Buffer.alloc(10)
  header.writeUInt32LE(body.length + 11, 0)
  header.writeUInt32LE(10 + body.length - (parts.at(-1)?.length ?? 0), 4)
  header.writeUInt16LE(elements.length, 8)
  return Buffer.concat([header, body, Buffer.from([0xff])])
}

function u32(value: number): Buffer {
  const out = Buffer.alloc(4)
  out.writeUInt32LE(value)
  return out
}

function zipText(text: string): Buffer {
  const bytes = Buffer.from(text)
  const { length } = bytes
  if (length < 64) return Buffer.concat([Buffer.from([length]), bytes])
  if (length < 1 << 14) return Buffer.concat([Buffer.from([0x40 | (length >> 8), length & 255]), bytes])
  const head = Buffer.alloc(5)
  head[0] = 0x80
  head.writeUInt32BE(length, 1)
  return Buffer.concat([head, bytes])
}

function zipInteger(value: number): Buffer {
  if (value >= 0 && value <= 12) return Buffer.from([0xf1 + value])
  const widths: [number, number, number][] = [
    [1, 0xfe, 1],
    [2, 0xc0, 2],
    [3, 0xf0, 3],
    [4, 0xd0, 4],
  ]
  for (const [width, code] of widths) {
    const limit = 2 ** (width * 8 - 1)
    if (value < -limit || value >= limit) continue
    const out = Buffer.alloc(1 + width)
    out[0] = code
    out.writeIntLE(value, 1, width)
    return out
  }
  const out = Buffer.alloc(9)
  out[0] = 0xe0
  out.writeBigInt64LE(BigInt(value), 1)
  return out
}

/** A zipmap: hashes of before Redis 2.6. */
export function zipmap(pairs: readonly (readonly [string, string])[]): Buffer {
  const length = (size: number): Buffer =>
    size < 254 ? Buffer.from([size]) : Buffer.concat([Buffer.from([254]), u32(size)])
  const parts = pairs.map(([field, value]) =>
    Buffer.concat([
      length(field.length),
      Buffer.from(field),
      length(value.length),
      Buffer.from([2]),
      Buffer.from(value),
      Buffer.from('??'),
    ]),
  )
  return Buffer.concat([Buffer.from([Math.min(pairs.length, 254)]), ...parts, Buffer.from([255])])
}

/** A score as the text of a zset of type 3. */
export function asciiScore(score: number): Buffer {
  if (Number.isNaN(score)) return Buffer.from([253])
  if (score === Number.POSITIVE_INFINITY) return Buffer.from([254])
  if (score === Number.NEGATIVE_INFINITY) return Buffer.from([255])
  const text = String(score)
  return Buffer.concat([Buffer.from([text.length]), Buffer.from(text)])
}

/** A listpack of text and of integers of 64 bits. */
export function listpack(elements: readonly (string | number)[]): Buffer {
  const parts = elements.map((element) => {
    let body: Buffer
    if (typeof element === 'number') {
      body = Buffer.alloc(9)
      body[0] = 0xf4
      body.writeBigInt64LE(BigInt(element), 1)
    } else
      body = Buffer.concat([Buffer.from([0xe0 | (element.length >> 8), element.length & 255]), Buffer.from(element)])
    const { length } = body
    const back = length < 128 ? Buffer.from([length]) : Buffer.from([length >> 7, (length & 127) | 128])
    return Buffer.concat([body, back])
  })
  const body = Buffer.concat(parts)
  const header = Buffer.alloc(6)
  header.writeUInt32LE(body.length + 7, 0)
  header.writeUInt16LE(elements.length, 4)
  return Buffer.concat([header, body, Buffer.from([0xff])])
}

/** A stream of type 15 (Redis 5): one node with two entries of equal fields, no groups. */
export function streamV1(ms: number): Buffer {
  const id = Buffer.alloc(16)
  id.writeBigUInt64BE(BigInt(ms), 0)
  const node = listpack([2, 0, 1, 'field', 0, 2, 0, 0, 'one', 4, 2, 1, 0, 'two', 4])
  return Buffer.concat([
    rdbLength(1),
    rdbString(id),
    rdbString(node),
    rdbLength(2),
    rdbLength(ms + 1, '64'),
    rdbLength(0),
    rdbLength(0),
  ])
}
