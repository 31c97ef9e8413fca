import { MigrateError } from '@ferrite-migrate/contracts'
import { type CommandSpec, commandSpec } from './command-table.js'

/** What `next` gives when the bytes run out. */
export const INCOMPLETE = -1

const MAX_ARGUMENT = 4 * 1024 ** 3
const MAX_ARGUMENTS = 1 << 30

/**
 * Finds the commands of a replication stream or an append-only file without touching their arguments. After `next`
 * gave an end, the fields describe the command in data[start..end).
 */
export class CommandScan {
  /** Bytes of the stream before data[0]. */
  base = 0
  start = 0
  count = 0
  nameStart = 0
  nameEnd = 0

  /**
   * Position after the command that starts at `at` (blank lines before it are passed over), or INCOMPLETE.
   * @throws MigrateError FM_STREAM_CORRUPT with the byte offset
   */
  next(data: Buffer, at: number, end: number): number {
    while (at < end && (data[at] === 10 || data[at] === 13)) at++
    this.start = at
    if (at >= end) return INCOMPLETE
    if (data[at] !== 42) throw this.corrupt(at, `byte ${data[at]} where a command starts`)
    let next = this.number(data, at + 1, end, MAX_ARGUMENTS)
    if (next === INCOMPLETE) return INCOMPLETE
    const count = this.value
    if (count < 1) throw this.corrupt(at, 'a command without a name')
    this.count = count
    for (let argument = 0; argument < count; argument++) {
      if (next >= end) return INCOMPLETE
      if (data[next] !== 36) throw this.corrupt(next, `byte ${data[next]} where an argument starts`)
      const from = this.number(data, next + 1, end, MAX_ARGUMENT)
      if (from === INCOMPLETE) return INCOMPLETE
      next = from + this.value
      if (next + 2 > end) return INCOMPLETE
      if (data[next] !== 13 || data[next + 1] !== 10) throw this.corrupt(next, 'an argument longer than its length')
      if (argument === 0) {
        this.nameStart = from
        this.nameEnd = next
      }
      next += 2
    }
    return next
  }

  /** What is known of the command just found. */
  spec(data: Buffer): CommandSpec {
    return commandSpec(data, this.nameStart, this.nameEnd)
  }

  private value = 0

  private number(data: Buffer, at: number, end: number, most: number): number {
    let value = 0
    const start = at
    for (; at < end; at++) {
      const digit = data[at] - 48
      if (digit >= 0 && digit <= 9) {
        value = value * 10 + digit
        if (value > most) throw this.corrupt(start, `a length of ${value} and more`)
      } else if (data[at] === 13 && at > start) {
        if (at + 1 >= end) return INCOMPLETE
        if (data[at + 1] !== 10) throw this.corrupt(at, 'a line that does not end')
        this.value = value
        return at + 2
      } else throw this.corrupt(at, 'a length that is no number')
    }
    return INCOMPLETE
  }

  private corrupt(at: number, detail: string): MigrateError {
    return new MigrateError(
      'FM_STREAM_CORRUPT',
      `the command stream is damaged at byte ${this.base + at}: ${detail}`,
      'Start again with a full sync; if it comes back, report it with the source version.',
    )
  }
}
