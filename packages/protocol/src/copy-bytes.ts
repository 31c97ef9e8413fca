/** Up to here a loop is faster than a call into native code. */
const SHORT = 24

/** Copies `source[from..to)` to `target` at `at`; most strings of a data set are short. */
export function copyBytes(source: Buffer, from: number, to: number, target: Buffer, at: number): void {
  if (to - from <= SHORT) for (let i = from, out = at; i < to; ) target[out++] = source[i++]
  else source.copy(target, at, from, to)
}
