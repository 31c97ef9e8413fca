import { printableKey } from '../records/printable-key.js'
import { type KeyPattern, KeyPatterns, type PrefixNode } from './key-patterns.js'

export interface TypeStatistics {
  readonly type: string
  readonly keys: number
  readonly bytes: number
  readonly elements: number
}

export interface BigKey {
  readonly db: number
  readonly key: string
  readonly type: string
  readonly bytes: number
  readonly elements: number
}

export interface TtlBucket {
  readonly name: string
  readonly keys: number
}

/** What was seen of a store's keys; sums are of what was looked at, scaled by the caller's weight. */
export interface KeySummary {
  readonly keys: number
  readonly bytes: number
  readonly types: readonly TypeStatistics[]
  readonly encodings: readonly { readonly name: string; readonly keys: number; readonly bytes: number }[]
  readonly databases: readonly { readonly db: number; readonly keys: number }[]
  readonly ttl: readonly TtlBucket[]
  readonly patterns: readonly KeyPattern[]
  readonly bigKeys: readonly BigKey[]
  readonly tree?: PrefixNode
}

const SHORT_MS = 3_600_000
const BUCKETS: readonly (readonly [string, number])[] = [
  ['expired', 0],
  ['under 1 minute', 60_000],
  ['under 1 hour', 3_600_000],
  ['under 1 day', 86_400_000],
  ['under 7 days', 7 * 86_400_000],
  ['under 30 days', 30 * 86_400_000],
  ['30 days and more', Number.POSITIVE_INFINITY],
]

class Sum {
  keys = 0
  bytes = 0
  elements = 0
}

/** Sums up keys as they are seen: types, encodings, expiries, shapes of names, the largest ones. */
export class KeyStatistics {
  keys = 0
  bytes = 0
  readonly patterns = new KeyPatterns()
  private readonly types = new Map<string, Sum>()
  private readonly encodings = new Map<string, Sum>()
  private readonly databases = new Map<number, number>()
  private readonly ttl = new Array<number>(BUCKETS.length).fill(0)
  private immortal = 0
  private readonly big: BigKey[] = []
  private readonly topKeys: number
  private threshold = 0
  private readonly now: number
  private lastType = ''
  private lastSum = new Sum()
  private lastEncoding = ''
  private lastEncodingSum = new Sum()

  /** @param topKeys how many of the largest keys are kept by name */
  constructor(topKeys: number, now = Date.now()) {
    this.topKeys = topKeys
    this.now = now
  }

  add(
    db: number,
    data: Buffer,
    keyStart: number,
    keyEnd: number,
    type: string,
    encoding: string,
    bytes: number,
    elements: number,
    expireAt: number,
    weight = 1,
  ): void {
    this.keys += weight
    this.bytes += bytes * weight
    if (type !== this.lastType) {
      this.lastType = type
      this.lastSum = sumOf(this.types, type)
    }
    this.lastSum.keys += weight
    this.lastSum.bytes += bytes * weight
    this.lastSum.elements += elements * weight
    if (encoding !== this.lastEncoding) {
      this.lastEncoding = encoding
      this.lastEncodingSum = sumOf(this.encodings, encoding)
    }
    this.lastEncodingSum.keys += weight
    this.lastEncodingSum.bytes += bytes * weight
    this.databases.set(db, (this.databases.get(db) ?? 0) + weight)
    if (expireAt === 0) this.immortal += weight
    else {
      const left = expireAt - this.now
      let bucket = 0
      while (left > BUCKETS[bucket][1]) bucket++
      this.ttl[bucket] += weight
    }
    this.patterns.add(data, keyStart, keyEnd, bytes, expireAt > 0 && expireAt - this.now < SHORT_MS, weight)
    if (bytes > this.threshold || this.big.length < this.topKeys)
      this.keepBig(db, data, keyStart, keyEnd, type, bytes, elements)
  }

  private keepBig(
    db: number,
    data: Buffer,
    start: number,
    end: number,
    type: string,
    bytes: number,
    elements: number,
  ): void {
    if (this.topKeys === 0) return
    this.big.push({ db, key: printableKey(data.subarray(start, end)), type, bytes, elements })
    if (this.big.length < this.topKeys * 2) return
    this.big.sort((a, b) => b.bytes - a.bytes)
    this.big.length = this.topKeys
    this.threshold = this.big[this.topKeys - 1].bytes
  }

  /** @param tree also the prefixes below one another, for a page */
  summary(topPatterns = 10, tree = false): KeySummary {
    const byKeys = <T extends { keys: number }>(list: T[]): T[] => list.sort((a, b) => b.keys - a.keys)
    return {
      keys: Math.round(this.keys),
      bytes: Math.round(this.bytes),
      types: [...this.types]
        .map(([type, { keys, bytes, elements }]) => ({
          type,
          keys: Math.round(keys),
          bytes: Math.round(bytes),
          elements: Math.round(elements),
        }))
        .sort((a, b) => b.bytes - a.bytes),
      encodings: byKeys(
        [...this.encodings].map(([name, { keys, bytes }]) => ({
          name,
          keys: Math.round(keys),
          bytes: Math.round(bytes),
        })),
      ),
      databases: [...this.databases].map(([db, keys]) => ({ db, keys: Math.round(keys) })).sort((a, b) => a.db - b.db),
      ttl: [
        { name: 'no expiry', keys: Math.round(this.immortal) },
        ...BUCKETS.map(([name], i) => ({ name, keys: Math.round(this.ttl[i]) })),
      ],
      patterns: this.patterns
        .top(topPatterns)
        .map((one) => ({ ...one, keys: Math.round(one.keys), bytes: Math.round(one.bytes) })),
      bigKeys: [...this.big].sort((a, b) => b.bytes - a.bytes).slice(0, this.topKeys),
      ...(tree ? { tree: this.patterns.tree() } : {}),
    }
  }
}

function sumOf(map: Map<string, Sum>, name: string): Sum {
  let sum = map.get(name)
  if (sum === undefined) {
    sum = new Sum()
    map.set(name, sum)
  }
  return sum
}
