/** One shape of key names: `user:*`. */
export interface KeyPattern {
  readonly pattern: string
  readonly keys: number
  readonly bytes: number
  /** Of these, keys that expire within an hour. */
  readonly shortLived: number
  readonly example: string
}

interface Entry {
  readonly text: string
  readonly example: string
  keys: number
  bytes: number
  shortLived: number
}

/** More shapes than this are counted as "other". */
const MOST = 20_000
const LONG_SEGMENT = 20
const STAR = 42

function isSeparator(byte: number): boolean {
  return (
    byte === 58 ||
    byte === 47 ||
    byte === 46 ||
    byte === 95 ||
    byte === 45 ||
    byte === 124 ||
    byte === 35 ||
    byte === 64 ||
    byte === 44
  )
}

/**
 * Finds the shapes of key names: segments between `:/._-|#@,` that hold digits, or are long, are the variable ones. The
 * shape of a key is hashed while its bytes are read; text is made once a shape.
 */
export class KeyPatterns {
  private readonly entries = new Map<number, Entry>()
  private other: Entry = { text: '(other)', example: '', keys: 0, bytes: 0, shortLived: 0 }
  private readonly shape = Buffer.alloc(512)
  private low = 0
  private high = 0
  private length = 0

  add(data: Buffer, start: number, end: number, bytes: number, shortLived: boolean, weight = 1): void {
    const { shape } = this
    this.low = 0x811c9dc5
    this.high = 0x9747b28c
    this.length = 0
    for (let at = start; at < end; ) {
      if (isSeparator(data[at])) {
        this.emit(data[at++])
        continue
      }
      const from = at
      let digit = -1
      let letterAfter = false
      for (; at < end && !isSeparator(data[at]); at++) {
        const byte = data[at]
        if (byte >= 48 && byte <= 57) {
          if (digit < 0) digit = at
        } else if (digit >= 0) letterAfter = true
      }
      if (digit < 0 && at - from < LONG_SEGMENT) for (let i = from; i < at; i++) this.emit(data[i])
      else {
        // `user12` is user*, `a1b2` is *; a UUID's parts are one *.
        if (digit > from && !letterAfter) for (let i = from; i < digit; i++) this.emit(data[i])
        else if (this.length >= 2 && shape[this.length - 1] === 45 && shape[this.length - 2] === STAR) {
          this.emit(STAR)
          continue
        }
        this.emit(STAR)
      }
    }
    const hash = (this.low >>> 0) * 2097152 + (this.high >>> 11)
    let entry = this.entries.get(hash)
    if (entry === undefined) {
      if (this.entries.size >= MOST) entry = this.other
      else {
        entry = {
          text: shape.toString('latin1', 0, Math.min(this.length, shape.length)).replace(/\*(-\*)+/g, '*'),
          example: data.toString('utf8', start, Math.min(end, start + 100)),
          keys: 0,
          bytes: 0,
          shortLived: 0,
        }
        this.entries.set(hash, entry)
      }
    }
    entry.keys += weight
    entry.bytes += bytes * weight
    if (shortLived) entry.shortLived += weight
  }

  private emit(byte: number): void {
    this.low = Math.imul(this.low ^ byte, 0x01000193)
    const high = Math.imul(this.high ^ byte, 0x5bd1e995)
    this.high = high ^ (high >>> 15)
    if (this.length < this.shape.length) this.shape[this.length] = byte
    this.length++
  }

  /** How many shapes were found. */
  get shapes(): number {
    return this.entries.size
  }

  /** All names by their prefixes, up to four deep. */
  tree(): PrefixNode {
    const all = [...this.entries.values()]
    if (this.other.keys > 0) all.push(this.other)
    return nodeOf('', all, 0)
  }

  /**
   * The most frequent patterns by their first segment; a pattern that holds most keys is taken apart by its next ones.
   */
  top(most: number): KeyPattern[] {
    const all = [...this.entries.values()]
    if (this.other.keys > 0) all.push(this.other)
    const total = all.reduce((sum, entry) => sum + entry.keys, 0)
    return group(all, 0, total)
      .sort((a, b) => b.keys - a.keys)
      .slice(0, most)
  }
}

/** A prefix of names, with those below it. */
export interface PrefixNode {
  readonly prefix: string
  readonly keys: number
  readonly bytes: number
  /** The largest first; small ones are together as `(other)`. */
  readonly children: readonly PrefixNode[]
}

const CHILDREN = 30
const DEPTH = 4

function nodeOf(prefix: string, entries: readonly Entry[], depth: number): PrefixNode {
  const sum = (of: readonly { keys: number; bytes: number }[]): { keys: number; bytes: number } =>
    of.reduce<{ keys: number; bytes: number }>(
      (total, { keys, bytes }) => ({ keys: total.keys + keys, bytes: total.bytes + bytes }),
      { keys: 0, bytes: 0 },
    )
  const groups = new Map<string, Entry[]>()
  if (depth < DEPTH)
    for (const entry of entries) {
      const name = entry.text.slice(0, prefixLength(entry.text, depth))
      const members = groups.get(name)
      if (members === undefined) groups.set(name, [entry])
      else members.push(entry)
    }
  const whole = { prefix, ...sum(entries) }
  // What has nothing beside it says nothing by being entered.
  if (groups.size === 1) {
    const [[name, members]] = groups
    return name === prefix || depth + 1 >= DEPTH
      ? { ...whole, children: [] }
      : { ...nodeOf(name, members, depth + 1), prefix: prefix || name }
  }
  const children = [...groups]
    .map(([name, members]) => nodeOf(name, members, depth + 1))
    .sort((a, b) => b.bytes - a.bytes)
  const rest = children.slice(CHILDREN)
  return {
    ...whole,
    children: [
      ...children.slice(0, CHILDREN),
      ...(rest.length > 0 ? [{ prefix: '(other)', ...sum(rest), children: [] }] : []),
    ],
  }
}

/** Where the `depth`-th separator ends; the whole length where there are fewer. */
function prefixLength(text: string, depth: number): number {
  let found = 0
  for (let i = 0; i < text.length; i++) if (isSeparator(text.charCodeAt(i)) && found++ === depth) return i + 1
  return text.length
}

function group(entries: readonly Entry[], depth: number, total: number): KeyPattern[] {
  const groups = new Map<string, Entry[]>()
  for (const entry of entries) {
    const end = prefixLength(entry.text, depth)
    const star = entry.text.indexOf('*')
    const prefix = star >= 0 && star < end ? entry.text.slice(0, star) : entry.text.slice(0, end)
    const name = prefix === entry.text ? prefix : `${prefix}*`
    const members = groups.get(name)
    if (members === undefined) groups.set(name, [entry])
    else members.push(entry)
  }
  return [...groups].flatMap(([pattern, members]) => {
    const keys = members.reduce((sum, entry) => sum + entry.keys, 0)
    const distinct = new Set(members.map(({ text }) => text.slice(0, prefixLength(text, depth + 1))))
    if (keys > total / 2 && keys > 1 && depth < 6 && distinct.size > 1 && !pattern.startsWith('*')) {
      const finer = group(members, depth + 1, total)
      if (finer.length > 1 && finer.length <= 200) return finer
    }
    const bytes = members.reduce((sum, entry) => sum + entry.bytes, 0)
    const shortLived = members.reduce((sum, entry) => sum + entry.shortLived, 0)
    const example = members.reduce((most, entry) => (entry.keys > most.keys ? entry : most)).example
    return [{ pattern, keys, bytes, shortLived, example }]
  })
}
