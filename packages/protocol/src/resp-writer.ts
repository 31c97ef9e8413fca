import { copyBytes } from './copy-bytes.js'
import { writeInteger } from './decimal.js'

/**
 * Writes commands into one growing Buffer. `take` gives what was written and starts a new one, so a taken Buffer may be
 * handed to a socket. Lengths are written once: the caller announces the count of arguments first.
 */
export class RespWriter {
  data: Buffer
  at = 0
  private readonly initial: number
  private readonly spare: Buffer[] = []

  constructor(initial = 64 << 10) {
    this.initial = initial
    this.data = Buffer.allocUnsafeSlow(initial)
  }

  /** Makes room for `count` more bytes. */
  reserve(count: number): void {
    if (this.at + count <= this.data.length) return
    const larger = Buffer.allocUnsafeSlow(Math.max(this.data.length * 2, this.at + count))
    this.data.copy(larger, 0, 0, this.at)
    this.data = larger
  }

  /** The start of a command with `count` arguments. */
  command(count: number): void {
    this.reserve(24)
    this.data[this.at] = 42
    this.crlf(writeInteger(this.data, this.at + 1, count))
  }

  /** The start of an argument of `length` bytes; the bytes and `crlf` follow. Reserves room for them. */
  header(length: number): void {
    this.reserve(length + 26)
    this.data[this.at] = 36
    this.crlf(writeInteger(this.data, this.at + 1, length))
  }

  crlf(at: number): void {
    this.data[at] = 13
    this.data[at + 1] = 10
    this.at = at + 2
  }

  /** An argument from a range of a Buffer. */
  range(source: Buffer, start: number, end: number): void {
    this.header(end - start)
    copyBytes(source, start, end, this.data, this.at)
    this.crlf(this.at + end - start)
  }

  bytes(argument: Buffer): void {
    this.range(argument, 0, argument.length)
  }

  /** An argument of Latin-1 text. */
  text(argument: string): void {
    this.header(argument.length)
    this.data.write(argument, this.at, 'latin1')
    this.crlf(this.at + argument.length)
  }

  integer(argument: number): void {
    if (argument >= 0 && argument <= Number.MAX_SAFE_INTEGER) {
      this.reserve(48)
      let digits = 1
      for (let rest = argument; rest >= 10; digits++) rest = Math.floor(rest / 10)
      this.header(digits)
      this.crlf(writeInteger(this.data, this.at, argument))
    } else this.text(String(argument))
  }

  /** Bytes that are already in protocol form. */
  raw(source: Buffer, start = 0, end = source.length): void {
    this.reserve(end - start)
    source.copy(this.data, this.at, start, end)
    this.at += end - start
  }

  /** A whole command. */
  call(...argv: readonly (Buffer | string | number)[]): void {
    this.command(argv.length)
    for (const argument of argv) {
      if (typeof argument === 'string') this.text(argument)
      else if (typeof argument === 'number') this.integer(argument)
      else this.bytes(argument)
    }
  }

  /** What was written since the last take; the writer goes on with other memory. */
  take(): Buffer {
    const out = this.data.subarray(0, this.at)
    this.data = this.spare.pop() ?? Buffer.allocUnsafeSlow(this.initial)
    this.at = 0
    return out
  }

  /** Gives memory back that `take` handed out and nobody reads any more. */
  recycle(taken: Buffer): void {
    if (this.spare.length < SPARE && taken.buffer.byteLength <= SPARE_BYTES) this.spare.push(Buffer.from(taken.buffer))
  }
}

/** One command in protocol form, in memory of its own. */
export function commandBytes(argv: readonly Buffer[]): Buffer {
  const head = `*${argv.length}\r\n`
  let size = head.length
  for (const { length } of argv) size += length + 5 + String(length).length
  const out = Buffer.allocUnsafe(size)
  let at = out.write(head, 0, 'latin1')
  for (const argument of argv) {
    at += out.write(`$${argument.length}\r\n`, at, 'latin1')
    at += argument.copy(out, at)
    out[at++] = 13
    out[at++] = 10
  }
  return out
}

const SPARE = 2
const SPARE_BYTES = 4 << 20
