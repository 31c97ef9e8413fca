/** Decimal text of integers and doubles, as bytes. */

const SMALL: Buffer[] = Array.from({ length: 1024 }, (_, value) => Buffer.from(String(value)))

/** The text of a safe integer. The Buffer may be shared: do not write to it. */
export function integerText(value: number): Buffer {
  return value >= 0 && value < 1024 ? SMALL[value] : Buffer.from(String(value), 'latin1')
}

/** The text of a signed 64-bit integer given as two halves. */
export function integer64Text(high: number, low: number): Buffer {
  const h = high | 0
  const l = low >>> 0
  if (h === 0 || (h === -1 && l >= 0x80000000)) return integerText(h === 0 ? l : l - 0x100000000)
  return Buffer.from(((BigInt(h) << 32n) | BigInt(l)).toString(), 'latin1')
}

/** The shortest text that reads back to the same double; `inf`, `-inf` and `nan` as Redis writes them. */
export function doubleText(value: number): Buffer {
  if (value === Infinity) return Buffer.from('inf')
  if (value === -Infinity) return Buffer.from('-inf')
  if (Number.isNaN(value)) return Buffer.from('nan')
  if (value === 0) return Buffer.from(Object.is(value, -0) ? '-0' : '0')
  return Number.isInteger(value) && Math.abs(value) < 1e15 ? integerText(value) : Buffer.from(String(value), 'latin1')
}

/** Digits that a double holds exactly. */
const EXACT_DIGITS = 15

/** Reads a score as Redis writes it, from a Buffer or a range of one. NaN for text that is none. */
export function parseDouble(text: Buffer, start = 0, end = text.length): number {
  const first = text[start] === 45 ? start + 1 : start
  if (end > first && end - first <= EXACT_DIGITS) {
    let value = 0
    let at = first
    for (; at < end && text[at] >= 48 && text[at] <= 57; at++) value = value * 10 + text[at] - 48
    if (at === end) return first === start ? value : -value
  }
  const word = text.toString('latin1', start, end).toLowerCase()
  if (word === 'inf' || word === '+inf' || word === 'infinity') return Infinity
  if (word === '-inf' || word === '-infinity') return -Infinity
  return word === '' ? Number.NaN : Number(word)
}

/** Writes a non-negative safe integer at `at`; returns the position after it. */
export function writeInteger(out: Buffer, at: number, value: number): number {
  if (value < 10) {
    out[at] = 48 + value
    return at + 1
  }
  let digits = 1
  for (let rest = value; rest >= 10; digits++) rest = Math.floor(rest / 10)
  const end = at + digits
  let rest = value
  for (let to = end - 1; to >= at; to--) {
    const next = Math.floor(rest / 10)
    out[to] = 48 + rest - next * 10
    rest = next
  }
  return end
}
