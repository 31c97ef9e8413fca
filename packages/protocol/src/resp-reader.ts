import { damagedReply, MAX_BULK, MAX_ELEMENTS, MAX_LINE, MAX_NESTING, MAX_REPLY } from './resp-bounds.js'

/** A reply in RESP2 (and the RESP3 types that map onto it). Bulk strings stay valid; large ones are views of what arrived. */
export type Reply = Buffer | string | number | bigint | null | ReplyError | Reply[]

/** An error reply; nested ones stay values, so that one failed command of many does not hide the rest. */
export class ReplyError extends Error {
  /** The first word: WRONGTYPE, OOM, MOVED, … */
  get word(): string {
    return this.message.split(' ', 1)[0]
  }
}

/** Strings of up to this many bytes are copied out of what arrived. */
const COPIED = 1024
/** Digits of which any number is exact. */
const EXACT_DIGITS = 15

/**
 * A push parser for replies: `push` takes any piece of the input, which must not be written to afterwards, and calls
 * `onReply` for each complete reply.
 * Announced sizes allocate nothing before the bytes are there.
 */
export class RespReader {
  private readonly onReply: (reply: Reply) => void
  private data: Buffer = Buffer.alloc(0)
  private at = 0
  private needed = 0
  private parts: Buffer[] = []
  private partBytes = 0
  private objects = 0
  private bytes = 0
  private readonly stack: { list: Reply[]; left: number }[] = []

  constructor(onReply: (reply: Reply) => void) {
    this.onReply = onReply
  }

  /** @throws MigrateError FM_RESP_PROTOCOL */
  push(chunk: Buffer): void {
    // A long bulk string collects its pieces and is joined once.
    this.parts.push(chunk)
    this.partBytes += chunk.length
    if (this.partBytes < this.needed) return
    this.data = this.parts.length === 1 ? chunk : Buffer.concat(this.parts, this.partBytes)
    this.at = 0
    this.needed = 0
    while (this.next());
    const rest = this.data.subarray(this.at)
    this.parts = rest.length > 0 ? [rest] : []
    this.partBytes = rest.length
    this.data = rest
  }

  /** True between replies. */
  get idle(): boolean {
    return this.partBytes === 0 && this.stack.length === 0
  }

  private next(): boolean {
    const data = this.data
    if (this.at >= data.length) return false
    const lineEnd = data.indexOf(10, this.at)
    if (lineEnd < 0) {
      if (data.length - this.at > MAX_LINE) throw damagedReply('a line without end')
      return false
    }
    const start = this.at + 1
    const end = data[lineEnd - 1] === 13 ? lineEnd - 1 : lineEnd
    const mark = data[this.at]
    switch (mark) {
      case 43: // +
        return this.done(lineEnd + 1, data.toString('latin1', start, end))
      case 45: // -
      case 33: // !
        return this.done(lineEnd + 1, new ReplyError(data.toString('latin1', start, end)))
      case 58: // :
      case 40: {
        const short = this.digits(start, end)
        if (short >= 0) return this.done(lineEnd + 1, short)
        const text = data.toString('latin1', start, end)
        if (!/^[+-]?\d{1,40}$/.test(text)) throw damagedReply('a number that is none')
        const value = Number(text)
        return this.done(lineEnd + 1, Number.isSafeInteger(value) ? value : BigInt(text))
      }
      case 36: // $
      case 61: {
        const size = this.size(start, end, MAX_BULK)
        if (size < 0) return this.done(lineEnd + 1, null)
        if (this.bytes + size > MAX_REPLY) throw damagedReply(`a reply of more than ${MAX_REPLY} bytes`)
        const stop = lineEnd + 1 + size
        if (stop + 2 > data.length) {
          this.needed = stop + 2 - this.at
          return false
        }
        if (data[stop] !== 13 || data[stop + 1] !== 10) throw damagedReply('a string without end')
        this.bytes += size
        // A view of a large one keeps little alive that is not its own; small ones share a block of Node's.
        if (size > COPIED) return this.done(stop + 2, data.subarray(lineEnd + 1, stop))
        const value = Buffer.allocUnsafe(size)
        data.copy(value, 0, lineEnd + 1, stop)
        return this.done(stop + 2, value)
      }
      case 42: // *
      case 37: // %
      case 126: // ~
      case 62: {
        const size = this.size(start, end, MAX_ELEMENTS)
        const count = mark === 37 ? size * 2 : size
        if (count < 0) return this.done(lineEnd + 1, null)
        if (count === 0) return this.done(lineEnd + 1, [])
        if (this.stack.length >= MAX_NESTING) throw damagedReply('nesting without end')
        this.objects += count
        if (this.objects > MAX_ELEMENTS) throw damagedReply(`a reply of ${this.objects} elements`)
        this.stack.push({ list: [], left: count })
        this.at = lineEnd + 1
        return true
      }
      case 95: // _
        return this.done(lineEnd + 1, null)
      case 35: // #
        return this.done(lineEnd + 1, data[start] === 116 ? 1 : 0)
      case 44: // ,
        return this.done(lineEnd + 1, data.toString('latin1', start, end))
    }
    throw damagedReply(`a reply that starts with byte ${mark}`)
  }

  private size(start: number, end: number, most: number): number {
    const value = this.digits(start, end)
    if (value < 0) {
      if (this.data.toString('latin1', start, end) !== '-1') throw damagedReply('a size that is no number')
      return -1
    }
    if (value > most) throw damagedReply(`a size of ${value}`)
    return value
  }

  /** The number of a line that is nothing but a few digits, else -1. */
  private digits(start: number, end: number): number {
    if (end === start || end - start > EXACT_DIGITS) return -1
    let value = 0
    for (let at = start; at < end; at++) {
      const digit = this.data[at] - 48
      if (digit < 0 || digit > 9) return -1
      value = value * 10 + digit
    }
    return value
  }

  private done(at: number, value: Reply): boolean {
    this.at = at
    let reply = value
    for (;;) {
      const frame = this.stack[this.stack.length - 1]
      if (frame === undefined) {
        this.objects = 0
        this.bytes = 0
        this.onReply(reply)
        return true
      }
      frame.list.push(reply)
      if (--frame.left > 0) return true
      this.stack.pop()
      reply = frame.list
    }
  }
}
