import type { PackedChange } from '@ferrite-migrate/contracts'

const MOST_ARGUMENTS = 8

/** Finds the absolute expiry of a command in the bytes it came in, and writes another one over it: no argument is made. */
export class PackedExpiry {
  /** The key's bytes. */
  keyStart = 0
  keyEnd = 0
  /** The expiry as it stands, and how many ms one of it is. */
  value = 0
  unit: 1 | 1000 = 1
  private start = 0
  private length = 0
  private readonly starts = new Int32Array(MOST_ARGUMENTS)
  private readonly lengths = new Int32Array(MOST_ARGUMENTS)

  /**
   * True for SET, GETEX, PEXPIREAT and EXPIREAT that carry one, without conditions of expiry; the rest is for `expiryArgument`.
   * @param record a whole command
   */
  find(record: PackedChange): boolean {
    const { data, name } = record
    const count = this.split(record)
    let at = -1
    if (name === 'PEXPIREAT' || name === 'EXPIREAT') {
      if (count !== 3) return false
      at = 2
      this.unit = name === 'EXPIREAT' ? 1000 : 1
    } else if (name === 'SET' || name === 'GETEX') {
      for (let i = name === 'SET' ? 3 : 2; i + 1 < count && at < 0; i++) {
        if (this.lengths[i] !== 4) continue
        const word = this.starts[i]
        const first = data[word] | 32
        if ((first !== 112 && first !== 101) || (data[word + 1] | 32) !== 120) continue
        if ((data[word + 2] | 32) !== 97 || (data[word + 3] | 32) !== 116) continue
        at = i + 1
        this.unit = first === 101 ? 1000 : 1
      }
    }
    if (at < 0 || this.lengths[at] === 0 || this.lengths[at] > 15) return false
    this.keyStart = this.starts[1]
    this.keyEnd = this.keyStart + this.lengths[1]
    this.start = this.starts[at]
    this.length = this.lengths[at]
    this.value = 0
    for (let i = this.start; i < this.start + this.length; i++) {
      const digit = data[i] - 48
      if (digit < 0 || digit > 9) return false
      this.value = this.value * 10 + digit
    }
    return true
  }

  /** Writes another expiry over the one found in this record; false = it has another length, and nothing was written. */
  write({ data }: PackedChange, value: number): boolean {
    const text = String(value)
    if (text.length !== this.length) return false
    data.write(text, this.start, 'latin1')
    return true
  }

  /** Finds where the arguments are; gives their number, 0 = too many. */
  private split({ data, start, end }: PackedChange): number {
    let count = 0
    let at = start
    while (data[at] !== 10) at++
    for (at++; at < end; count++) {
      if (count === MOST_ARGUMENTS) return 0
      let length = 0
      for (at++; data[at] !== 13; at++) length = length * 10 + data[at] - 48
      this.starts[count] = at + 2
      this.lengths[count] = length
      at += length + 4
    }
    return count
  }
}
