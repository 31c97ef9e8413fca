import type { DecodedValue, StreamValue } from '@ferrite-migrate/contracts'
import { parseDouble } from './decimal.js'

/**
 * The logical digest of a value: 128 bits, equal for equal values whatever their encoding or element order (sets,
 * hashes, zsets), and bit-exact for scores. It is MurmurHash3 x86_128 (Austin Appleby, public domain) over each element
 * with its length; unordered types add the element hashes lane by lane, ordered ones chain them. It guards against
 * mistakes, not against an adversary.
 */
const C1 = 0x239b961b
const C2 = 0xab0e9789 | 0
const C3 = 0x38b34ae5
const C4 = 0xa1e38b93 | 0

function rotl(value: number, by: number): number {
  return (value << by) | (value >>> (32 - by))
}

function mix(value: number): number {
  value ^= value >>> 16
  value = Math.imul(value, 0x85ebca6b)
  value ^= value >>> 13
  value = Math.imul(value, 0xc2b2ae35)
  return value ^ (value >>> 16)
}

class Hash {
  a = 0
  b = 0
  c = 0
  d = 0

  /** Hashes one Buffer, starting from the four seeds. */
  of(data: Buffer, a: number, b: number, c: number, d: number): void {
    const length = data.length
    const whole = length & ~15
    let at = 0
    for (; at < whole; at += 16) {
      a ^= Math.imul(
        rotl(Math.imul(data[at] | (data[at + 1] << 8) | (data[at + 2] << 16) | (data[at + 3] << 24), C1), 15),
        C2,
      )
      a = (Math.imul((rotl(a, 19) + b) | 0, 5) + 0x561ccd1b) | 0
      b ^= Math.imul(
        rotl(Math.imul(data[at + 4] | (data[at + 5] << 8) | (data[at + 6] << 16) | (data[at + 7] << 24), C2), 16),
        C3,
      )
      b = (Math.imul((rotl(b, 17) + c) | 0, 5) + 0x0bcaa747) | 0
      c ^= Math.imul(
        rotl(Math.imul(data[at + 8] | (data[at + 9] << 8) | (data[at + 10] << 16) | (data[at + 11] << 24), C3), 17),
        C4,
      )
      c = (Math.imul((rotl(c, 15) + d) | 0, 5) + 0x96cd1c35) | 0
      d ^= Math.imul(
        rotl(Math.imul(data[at + 12] | (data[at + 13] << 8) | (data[at + 14] << 16) | (data[at + 15] << 24), C4), 18),
        C1,
      )
      d = (Math.imul((rotl(d, 13) + a) | 0, 5) + 0x32ac3b17) | 0
    }
    let k1 = 0
    let k2 = 0
    let k3 = 0
    let k4 = 0
    for (let i = 0; at + i < length; i++) {
      const byte = data[at + i] << ((i & 3) * 8)
      if (i < 4) k1 |= byte
      else if (i < 8) k2 |= byte
      else if (i < 12) k3 |= byte
      else k4 |= byte
    }
    d ^= Math.imul(rotl(Math.imul(k4, C4), 18), C1)
    c ^= Math.imul(rotl(Math.imul(k3, C3), 17), C4)
    b ^= Math.imul(rotl(Math.imul(k2, C2), 16), C3)
    a ^= Math.imul(rotl(Math.imul(k1, C1), 15), C2)
    this.finish(a ^ length, b ^ length, c ^ length, d ^ length)
  }

  private finish(a: number, b: number, c: number, d: number): void {
    a = (a + b + c + d) | 0
    b = (b + a) | 0
    c = (c + a) | 0
    d = (d + a) | 0
    a = mix(a)
    b = mix(b)
    c = mix(c)
    d = mix(d)
    a = (a + b + c + d) | 0
    this.a = a
    this.b = (b + a) | 0
    this.c = (c + a) | 0
    this.d = (d + a) | 0
  }
}

const TYPES = { string: 1, list: 2, set: 3, zset: 4, hash: 5, stream: 6, module: 7 } as const

/** Builds a digest piece by piece, so that a value above the size limit need not be held. */
export class ValueDigest {
  private a: number
  private b = 0
  private c = 0
  private d = 0
  private count = 0
  private readonly hash = new Hash()

  constructor(type: keyof typeof TYPES) {
    this.a = TYPES[type]
  }

  /** An element whose place counts. */
  ordered(data: Buffer): void {
    const hash = this.hash
    hash.of(data, this.a, this.b, this.c, this.d)
    this.a = hash.a
    this.b = hash.b
    this.c = hash.c
    this.d = hash.d
    this.count++
  }

  /** An element (member; field and value; member and score) whose place does not count. */
  unordered(first: Buffer, second?: Buffer, third?: Buffer): void {
    const hash = this.hash
    hash.of(first, 1, 2, 3, 4)
    if (second !== undefined) hash.of(second, hash.a, hash.b, hash.c, hash.d)
    if (third !== undefined) hash.of(third, hash.a, hash.b, hash.c, hash.d)
    this.a = (this.a + hash.a) | 0
    this.b = (this.b + hash.b) | 0
    this.c = (this.c + hash.c) | 0
    this.d = (this.d + hash.d) | 0
    this.count++
  }

  end(): Buffer {
    const out = Buffer.allocUnsafe(20)
    out.writeInt32LE(this.a, 0)
    out.writeInt32LE(this.b, 4)
    out.writeInt32LE(this.c, 8)
    out.writeInt32LE(this.d, 12)
    out.writeUInt32LE(this.count >>> 0, 16)
    return out
  }
}

/** A zset score as its eight bytes; the two zeros and all NaNs count as one each, as in a server's comparison. */
export function scoreBits(text: Buffer): Buffer {
  const bits = Buffer.allocUnsafe(8)
  bits.writeDoubleLE(parseDouble(text), 0)
  return bits
}

export interface DigestOptions {
  /** Leave out what a target without these cannot hold. */
  readonly fieldExpiry?: boolean
  /** Stream counters (entries-added, max-deleted-id, entries-read); consumer times are never compared. */
  readonly streamCounters?: boolean
}

/** The digest of a whole value. */
export function digestValue(value: DecodedValue, options: DigestOptions = {}): Buffer {
  const digest = new ValueDigest(value.type)
  if (value.form === 'stream') digestStream(digest, value, options)
  else {
    const { type, items } = value
    if (type === 'list' || type === 'string') for (const item of items) digest.ordered(item)
    else if (type === 'set') for (const item of items) digest.unordered(item)
    else if (type === 'zset')
      for (let i = 0; i < items.length; i += 2) digest.unordered(items[i], scoreBits(items[i + 1]))
    else
      for (let i = 0; i < items.length; i += 2) {
        const at = options.fieldExpiry === false ? 0 : (value.fieldExpireAt?.[i >> 1] ?? 0)
        digest.unordered(items[i], items[i + 1], at === 0 ? undefined : Buffer.from(String(at)))
      }
  }
  return digest.end()
}

function digestStream(digest: ValueDigest, stream: StreamValue, options: DigestOptions): void {
  const text = (...parts: (string | number)[]): void => digest.ordered(Buffer.from(parts.join(' ')))
  for (const entry of stream.entries) {
    text(entry.id, entry.fields.length)
    for (const field of entry.fields) digest.ordered(field)
  }
  text('last', stream.lastId)
  if (options.streamCounters) text('counters', stream.maxDeletedId, stream.entriesAdded)
  const byName = <T extends { name: Buffer }>(list: readonly T[]): T[] =>
    [...list].sort((x, y) => x.name.compare(y.name))
  for (const group of byName(stream.groups)) {
    digest.ordered(group.name)
    text('group', group.lastId, options.streamCounters ? group.entriesRead : '')
    for (const entry of [...group.pending].sort((x, y) => (x.id < y.id ? -1 : 1)))
      text('pending', entry.id, entry.deliveryCount)
    for (const consumer of byName(group.consumers)) {
      // A consumer that holds nothing: servers create it without telling their replicas (XAUTOCLAIM), so it is no difference.
      if (consumer.pending.length === 0) continue
      digest.ordered(consumer.name)
      text('consumer', [...consumer.pending].sort().join(' '))
    }
  }
}
