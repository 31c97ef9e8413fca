import { isUtf8 } from 'node:buffer'
import { createRequire } from 'node:module'
import { deflateSync, gunzipSync, gzipSync, inflateSync } from 'node:zlib'
import type { Packr, Unpackr } from 'msgpackr'

/** What a rule `convert` may name. msgpack and json hold data; the others hold bytes. */
export const CONVERSIONS = ['msgpack', 'json', 'gzip', 'zlib', 'base64', 'hex', 'utf-8', 'latin-1', 'raw'] as const
export type ConversionName = (typeof CONVERSIONS)[number]

/** No value of a Redis is larger; a small compressed value must not become a huge one. */
const MOST_BYTES = 512 * 1024 * 1024
const DATA = new Set<ConversionName>(['msgpack', 'json'])

const load = createRequire(import.meta.url)

let codec: { readonly packr: Packr; readonly unpackr: Unpackr } | null = null

/**
 * Loaded when a rule needs it: most runs do not. It lies in this package: installed as one of its own it brings a part in C++, whose
 * script at the installation package managers warn of or refuse.
 */
function msgpack(): { readonly packr: Packr; readonly unpackr: Unpackr } {
  if (codec !== null) return codec
  const { Packr, Unpackr } = load('#msgpackr') as typeof import('msgpackr')
  codec = {
    packr: new Packr({ useRecords: false, mapsAsObjects: false }),
    unpackr: new Unpackr({ useRecords: false, mapsAsObjects: false, int64AsType: 'bigint' }),
  }
  return codec
}

/** Why a pair of names is no conversion; null = it is one. */
export function conversionFault(from: ConversionName, to: ConversionName): string | null {
  if (DATA.has(from) !== DATA.has(to))
    return `${from} holds ${DATA.has(from) ? 'data' : 'bytes'} and ${to} holds ${DATA.has(to) ? 'data' : 'bytes'}: use two rules, for instance gzip to raw, then msgpack to json`
  return null
}

/**
 * Converts one value.
 * @throws Error that says why it cannot be
 */
export function convert(bytes: Buffer, from: ConversionName, to: ConversionName): Buffer {
  if (from === 'msgpack' && to === 'json') return Buffer.from(jsonText(unpack(bytes)))
  if (from === 'json' && to === 'msgpack') return Buffer.from(msgpack().packr.pack(parseJson(bytes)))
  if (from === 'json') return Buffer.from(jsonText(parseJson(bytes)))
  if (from === 'msgpack') return Buffer.from(msgpack().packr.pack(unpack(bytes)))
  return encode(decode(bytes, from), to)
}

function decode(bytes: Buffer, from: ConversionName): Buffer {
  switch (from) {
    case 'gzip':
      return inflated('gzip', () => gunzipSync(bytes, { maxOutputLength: MOST_BYTES }))
    case 'zlib':
      return inflated('zlib', () => inflateSync(bytes, { maxOutputLength: MOST_BYTES }))
    case 'base64': {
      const text = bytes.toString('latin1').replace(/\s+/g, '')
      if (!/^[A-Za-z0-9+/_-]*={0,2}$/.test(text) || text.replace(/=+$/, '').length % 4 === 1)
        throw new Error('it is no base64')
      return Buffer.from(text, 'base64')
    }
    case 'hex': {
      const text = bytes.toString('latin1').trim()
      if (text.length % 2 === 1 || !/^[0-9a-fA-F]*$/.test(text)) throw new Error('it is no hexadecimal text')
      return Buffer.from(text, 'hex')
    }
    case 'utf-8':
      if (!isUtf8(bytes)) throw new Error('it is no UTF-8')
      return bytes
    case 'latin-1':
      // From here on text is UTF-8.
      return Buffer.from(bytes.toString('latin1'))
    default:
      return bytes
  }
}

function encode(bytes: Buffer, to: ConversionName): Buffer {
  switch (to) {
    case 'gzip':
      return gzipSync(bytes)
    case 'zlib':
      return deflateSync(bytes)
    case 'base64':
      return Buffer.from(bytes.toString('base64'))
    case 'hex':
      return Buffer.from(bytes.toString('hex'))
    case 'utf-8':
      if (!isUtf8(bytes)) throw new Error('it is no UTF-8')
      return bytes
    case 'latin-1': {
      if (!isUtf8(bytes)) throw new Error('it is no UTF-8')
      const text = bytes.toString('utf8')
      for (const letter of text) if (letter > '\xff') throw new Error(`latin-1 has no "${letter}"`)
      return Buffer.from(text, 'latin1')
    }
    default:
      return bytes
  }
}

function inflated(name: string, inflate: () => Buffer): Buffer {
  try {
    return inflate()
  } catch (error) {
    const cut = (error as NodeJS.ErrnoException).code === 'Z_BUF_ERROR'
    const long = (error as NodeJS.ErrnoException).code === 'ERR_BUFFER_TOO_LARGE'
    throw new Error(
      long ? `its ${name} data is too large` : cut ? `its ${name} data ends too early` : `it is no ${name}`,
    )
  }
}

/** What bytes are that a format would read something else into; null = they are no text. */
function textKind(bytes: Buffer): string | null {
  if (bytes.length === 0) return 'it is empty'
  if (!isUtf8(bytes)) return null
  const text = bytes.toString('utf8')
  if (/(?![\t\n\r])\p{Cc}/u.test(text)) return null
  if (text.length === 1) return `it is the text "${text}"`
  try {
    JSON.parse(text)
    return 'it looks like JSON'
  } catch {
    return 'it is text'
  }
}

/** In msgpack a printable byte is a small number; a value that is only such a byte is text far more often. */
function unpack(bytes: Buffer): unknown {
  if (bytes.length <= 1) {
    const text = textKind(bytes)
    if (text !== null) throw new Error(`${text}, not msgpack`)
  }
  try {
    return msgpack().unpackr.unpack(bytes)
  } catch (error) {
    const text = textKind(bytes)
    if (text !== null) throw new Error(`${text}, not msgpack`)
    const { message } = error as Error
    if (/end of buffer not reached/.test(message)) throw new Error('bytes follow its msgpack value')
    throw new Error(/Unexpected end/.test(message) ? 'its msgpack value ends too early' : 'it is no msgpack')
  }
}

/** What JSON says and msgpack cannot hold; it is JSON all the same. */
class NotForMsgpack extends Error {}

/** JSON as data; integers beyond 2^53 stay exact, objects become Maps so that any name is one. */
function parseJson(bytes: Buffer): unknown {
  if (!isUtf8(bytes)) throw new Error('it is no JSON (no UTF-8)')
  const text = bytes.toString('utf8')
  try {
    const exact = (_: string, value: unknown, context?: { source?: string }): unknown => {
      if (typeof value === 'number' && !Number.isSafeInteger(value) && /^-?\d+$/.test(context?.source ?? '')) {
        const whole = BigInt(context!.source!)
        if (whole >= -(2n ** 63n) && whole < 2n ** 64n) return whole
        // What a double is printed as is that double.
        if (String(value) === context!.source) return value
        throw new NotForMsgpack(`${context!.source!.slice(0, 40)} is too large for msgpack`)
      }
      return value !== null && typeof value === 'object' && !Array.isArray(value)
        ? new Map(Object.entries(value))
        : value
    }
    return JSON.parse(text, exact as Parameters<typeof JSON.parse>[1])
  } catch (error) {
    if (error instanceof NotForMsgpack) throw error
    const at = /at position (\d+)/.exec((error as Error).message)?.[1]
    throw new Error(at === undefined ? 'it is no JSON' : `it is no JSON (from character ${Number(at) + 1} on)`)
  }
}

/** Data as compact JSON. Bytes become base64, dates ISO 8601, whole numbers keep every digit. */
function jsonText(data: unknown): string {
  switch (typeof data) {
    case 'string':
    case 'boolean':
      return JSON.stringify(data)
    case 'bigint':
      return String(data)
    case 'number':
      if (!Number.isFinite(data)) throw new Error(`JSON has no ${data}`)
      return Object.is(data, -0) ? '-0' : String(data)
    case 'object': {
      if (data === null) return 'null'
      if (Array.isArray(data)) return `[${data.map(jsonText).join(',')}]`
      if (data instanceof Uint8Array) return JSON.stringify(Buffer.from(data).toString('base64'))
      if (data instanceof Date) return JSON.stringify(data.toISOString())
      if (data instanceof Map) {
        const fields: string[] = []
        for (const [name, value] of data) fields.push(`${JSON.stringify(fieldName(name))}:${jsonText(value)}`)
        return `{${fields.join(',')}}`
      }
      throw new Error(`JSON has nothing for a msgpack ${data.constructor?.name ?? 'extension'}`)
    }
    default:
      throw new Error('JSON has nothing for one of its parts')
  }
}

function fieldName(name: unknown): string {
  if (typeof name === 'string') return name
  if (typeof name === 'number' || typeof name === 'bigint' || typeof name === 'boolean') return String(name)
  throw new Error('a name in it is no text')
}
