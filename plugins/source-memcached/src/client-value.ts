import { gunzipSync, inflateSync } from 'node:zlib'

export type Client = 'php' | 'python' | 'java' | 'dalli'

/** What a client stored, as plain text or bytes. `opaque`: an object of its language, left as it is. */
export interface ClientValue {
  readonly value: Buffer
  readonly opaque: boolean
}

/** No item of a Memcached is larger when it is inflated by its client either. */
const MOST_BYTES = 512 << 20
const LIMIT = { maxOutputLength: MOST_BYTES }

/**
 * Decodes numbers, booleans, text and compression of a client by an item's flags; the numbers of the flags are those in the
 * sources of php-memcached (php_memcached.c), python-memcached and pymemcache (serde.py), spymemcached
 * (SerializingTranscoder.java) and Dalli (value_serializer.rb, value_compressor.rb).
 */
export function clientValue(client: Client, value: Buffer, flags: number): ClientValue {
  try {
    return DECODERS[client](value, flags)
  } catch {
    return { value, opaque: true }
  }
}

const plain = (value: Buffer | string): ClientValue => ({
  value: typeof value === 'string' ? Buffer.from(value) : value,
  opaque: false,
})
const opaque = (value: Buffer): ClientValue => ({ value, opaque: true })

const DECODERS: Record<Client, (value: Buffer, flags: number) => ClientValue> = {
  php: (raw, flags) => {
    let value = raw
    // Bits 4 to 7: compressed, then by zlib, fastlz or zstd; four bytes of length come before the data.
    const how = (flags >> 4) & 15
    if (how & 1) {
      if (!(how & 2)) return opaque(raw)
      value = inflateSync(raw.subarray(4), LIMIT)
    }
    switch (flags & 15) {
      case 0:
      case 1:
      case 2:
      case 6:
        return plain(value)
      case 3:
        return plain(value.length > 0 && value[0] === 49 ? '1' : '0')
      default:
        return opaque(value)
    }
  },
  python: (raw, flags) => {
    const value = flags & 8 ? inflateSync(raw, LIMIT) : raw
    return flags & 1 ? opaque(value) : plain(value)
  },
  java: (raw, flags) => {
    const value = flags & 2 ? gunzipSync(raw, LIMIT) : raw
    if (flags & 1) return opaque(value)
    switch ((flags >> 8) & 255) {
      case 0:
      case 8:
        return plain(value)
      case 1:
        return plain(value.length === 1 && value[0] === 49 ? '1' : '0')
      case 2:
      case 3:
      case 5:
        return plain(String(BigInt.asIntN(64, bigEndian(value))))
      case 4:
        return plain(new Date(Number(BigInt.asIntN(64, bigEndian(value)))).toISOString())
      case 6: {
        const bits = Buffer.alloc(4)
        bits.writeUInt32BE(Number(bigEndian(value)))
        return plain(String(Math.fround(bits.readFloatBE(0))))
      }
      case 7: {
        const bits = Buffer.alloc(8)
        bits.writeBigUInt64BE(bigEndian(value))
        return plain(String(bits.readDoubleBE(0)))
      }
      default:
        return opaque(value)
    }
  },
  dalli: (raw, flags) => {
    const value = flags & 2 ? inflateSync(raw, LIMIT) : raw
    return flags & 1 ? marshalled(value) : plain(value)
  },
}

/** Numbers are stored without leading zero bytes; none at all is 0. */
function bigEndian(value: Buffer): bigint {
  if (value.length > 8) throw new RangeError('too long for a number')
  return value.length === 0 ? 0n : BigInt(`0x${value.toString('hex')}`)
}

/** Scalars of Ruby's Marshal 4.8; everything else stays as it is. */
function marshalled(value: Buffer): ClientValue {
  if (value[0] !== 4 || value[1] !== 8) return opaque(value)
  switch (String.fromCharCode(value[2])) {
    case 'T':
      return plain('1')
    case 'F':
      return plain('0')
    case 'i':
      return plain(String(fixnum(value, 3).number))
    case 'f': {
      const { number, end } = fixnum(value, 3)
      return plain(value.subarray(end, end + number))
    }
    case '"': {
      const { number, end } = fixnum(value, 3)
      return plain(value.subarray(end, end + number))
    }
    case 'I': {
      if (value[3] !== 34) return opaque(value)
      const { number, end } = fixnum(value, 4)
      return plain(value.subarray(end, end + number))
    }
    default:
      return opaque(value)
  }
}

function fixnum(value: Buffer, at: number): { number: number; end: number } {
  const first = value.readInt8(at)
  if (first === 0) return { number: 0, end: at + 1 }
  if (first > 4) return { number: first - 5, end: at + 1 }
  if (first < -4) return { number: first + 5, end: at + 1 }
  const length = Math.abs(first)
  const number = value.readUIntLE(at + 1, length)
  return { number: first > 0 ? number : number - 256 ** length, end: at + 1 + length }
}
