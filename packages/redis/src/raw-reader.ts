import { MigrateError } from '@ferrite-migrate/contracts'
import { damagedReply, MAX_BULK, MAX_ELEMENTS, MAX_LINE, MAX_REPLY, RespWriter } from '@ferrite-migrate/protocol'
import type { Endpoint } from './endpoint.js'
import { RedisLink, type WireTrace } from './link.js'

interface Call {
  left: number
  readonly tolerant: boolean
  readonly chunks: Buffer[]
  refused: boolean
  resolve(bytes: Buffer | null): void
  reject(error: Error): void
}

const LF = 10

/**
 * Reads the bytes of replies without making anything of them: only their ends are found. Calls may be under way at once;
 * they are answered in order. Replies may be arrays of bulk strings, but not deeper.
 */
export class RawReader {
  private readonly endpoint: Endpoint
  private readonly trace: WireTrace | null
  private readonly signal: AbortSignal | undefined
  private opening: Promise<RedisLink> | null = null
  private readonly calls: Call[] = []
  private readonly out = new RespWriter(128 << 10)
  private skip = 0
  private line = ''
  /** Elements that the array being read still has. */
  private elements = 0
  /** Of the strings of the call that is answered now. */
  private bytes = 0

  constructor(endpoint: Endpoint, trace: WireTrace | null, signal?: AbortSignal) {
    this.endpoint = endpoint
    this.trace = trace
    this.signal = signal
  }

  /**
   * The bytes of all replies; null when one of them is an error, unless `tolerant`.
   * @param build appends commands and gives their number
   */
  async call(build: (out: RespWriter) => number, tolerant: boolean): Promise<Buffer | null> {
    const link = await this.link()
    const left = build(this.out)
    const data = this.out.take()
    return new Promise((resolve, reject) => {
      this.calls.push({ left, tolerant, chunks: [], refused: false, resolve, reject })
      link.send(data, () => this.out.recycle(data))
    })
  }

  async close(): Promise<void> {
    await this.opening?.then(
      (link) => link.close(),
      () => undefined,
    )
  }

  private link(): Promise<RedisLink> {
    if (this.opening !== null) return this.opening
    const opening = RedisLink.open({ ...this.endpoint, db: 0 }, this.trace).then((link) => {
      link.hurryAfter(this.signal)
      link.takeOver(
        (chunk) => this.push(chunk),
        () => this.calls.length > 0,
      )
      void link.closed.then((reason) => this.lost(reason))
      return link
    })
    this.opening = opening
    opening.catch(() => {
      this.opening = null
    })
    return opening
  }

  private lost(reason: MigrateError | null): void {
    this.opening = null
    this.skip = 0
    this.line = ''
    this.elements = 0
    this.bytes = 0
    const error =
      reason ?? new MigrateError('FM_CONNECT_LOST', 'the connection was closed', 'Start again.', { retryable: true })
    for (const call of this.calls.splice(0)) call.reject(error)
  }

  private push(chunk: Buffer): void {
    let at = 0
    let start = 0
    while (at < chunk.length) {
      if (this.calls.length === 0) throw damagedReply('an answer that nobody asked for')
      if (this.skip > 0) {
        const count = Math.min(this.skip, chunk.length - at)
        this.skip -= count
        at += count
        if (this.skip > 0) break
      } else {
        const end = chunk.indexOf(LF, at)
        if (end < 0) {
          this.line += chunk.toString('latin1', at)
          if (this.line.length > MAX_LINE) throw damagedReply('a line without end')
          break
        }
        const whole =
          this.line.length > 0 ? Buffer.from(this.line + chunk.toString('latin1', at, end), 'latin1') : chunk
        const from = whole === chunk ? at : 0
        const to = whole === chunk ? end : whole.length
        this.line = ''
        at = end + 1
        const mark = whole[from]
        if (mark === 36) {
          const length = numberAt(whole, from + 1, to)
          if (length >= 0) {
            if (length > MAX_BULK) throw damagedReply(`a size of ${length}`)
            this.bytes += length
            if (this.bytes > MAX_REPLY) throw damagedReply(`answers of more than ${MAX_REPLY} bytes`)
            this.skip = length + 2
            continue
          }
        } else if (mark === 42) {
          const count = numberAt(whole, from + 1, to)
          if (count > MAX_ELEMENTS) throw damagedReply(`an array of ${count}`)
          if (count > 0) this.elements = count + 1
        } else if (mark === 45) this.calls[0].refused = true
      }
      if (this.elements > 0 && --this.elements > 0) continue
      const call = this.calls[0]
      if (--call.left > 0) continue
      call.chunks.push(chunk.subarray(start, at))
      start = at
      this.calls.shift()
      this.bytes = 0
      const refused = call.refused && !call.tolerant
      call.resolve(refused ? null : call.chunks.length === 1 ? call.chunks[0] : Buffer.concat(call.chunks))
    }
    if (start < chunk.length) this.calls[0]?.chunks.push(chunk.subarray(start))
  }
}

/** A decimal number that a carriage return ends. */
function numberAt(bytes: Buffer, from: number, to: number): number {
  if (bytes[from] === 45) return -1
  let value = 0
  for (let at = from; at < to && bytes[at] !== 13; at++) value = value * 10 + bytes[at] - 48
  return value
}

/** Takes replies apart: bulk strings and lines as their bytes, arrays as lists of them, null for nil. */
export function splitReplies(bytes: Buffer): (Buffer | Buffer[] | null)[] {
  const replies: (Buffer | Buffer[] | null)[] = []
  let list: Buffer[] | null = null
  let left = 0
  const add = (reply: Buffer | null): void => {
    if (list === null) replies.push(reply)
    else {
      list.push(reply ?? Buffer.alloc(0))
      if (--left === 0) list = null
    }
  }
  for (let at = 0; at < bytes.length; ) {
    const end = bytes.indexOf(LF, at)
    const mark = bytes[at]
    if (mark === 36) {
      const length = numberAt(bytes, at + 1, end)
      add(length < 0 ? null : bytes.subarray(end + 1, end + 1 + length))
      at = length < 0 ? end + 1 : end + 3 + length
    } else if (mark === 42) {
      left = numberAt(bytes, at + 1, end)
      if (left > 0) {
        list = []
        replies.push(list)
      } else replies.push(left < 0 ? null : [])
      at = end + 1
    } else {
      add(bytes.subarray(at + 1, end - 1))
      at = end + 1
    }
  }
  return replies
}
