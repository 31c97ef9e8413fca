import { MigrateError } from '@ferrite-migrate/contracts'

/** LZF back-references reach at most this far. */
const MAX_OFFSET = 8192
const MAX_MATCH = 264
const HASH_BITS = 14

function corrupt(what: string): MigrateError {
  return new MigrateError(
    'FM_RDB_LZF',
    `a compressed string is damaged: ${what}`,
    'Take the dump again from the source.',
  )
}

/** No LZF stream of `compressed` bytes can hold more than this; checked before anything is allocated. */
export function lzfBound(compressed: number): number {
  return compressed * MAX_MATCH
}

/**
 * Decompresses LZF (the format of liblzf, as RDB strings use it) into a new Buffer of exactly `length` bytes.
 * @throws MigrateError FM_RDB_LZF when input and length do not fit
 */
export function lzfDecompress(input: Uint8Array, length: number): Buffer {
  if (length > lzfBound(input.length)) throw corrupt(`${input.length} bytes cannot hold ${length}`)
  const out = Buffer.allocUnsafe(length)
  lzfDecompressInto(input, 0, input.length, out, 0, length)
  return out
}

/**
 * Decompresses input[from..end) into out[start..start+length), which must be there.
 * @throws MigrateError FM_RDB_LZF when input and length do not fit
 */
export function lzfDecompressInto(
  input: Uint8Array,
  from: number,
  end: number,
  out: Uint8Array,
  start: number,
  length: number,
): void {
  const limit = start + length
  let to = start
  while (from < end) {
    const control = input[from++]
    if (control < 32) {
      const count = control + 1
      if (from + count > end || to + count > limit) throw corrupt('a literal runs past the end')
      for (const stop = from + count; from < stop; ) out[to++] = input[from++]
      continue
    }
    let count = (control >>> 5) + 2
    if (count === 9) {
      if (from >= end) throw corrupt('a match length is missing')
      count += input[from++]
    }
    if (from >= end) throw corrupt('a match offset is missing')
    let back = to - ((control & 31) << 8) - input[from++] - 1
    if (back < start || to + count > limit) throw corrupt('a match points outside')
    // Byte by byte: a match may overlap what it writes.
    for (const stop = to + count; to < stop; ) out[to++] = out[back++]
  }
  if (to !== limit) throw corrupt(`${to - start} bytes where ${length} were announced`)
}

/**
 * Compresses to LZF.
 * @returns the compressed bytes, or null when they would not be shorter than the input
 */
export function lzfCompress(input: Uint8Array): Buffer | null {
  if (input.length < 5) return null
  const out = Buffer.allocUnsafe(input.length)
  const limit = input.length - 1
  const seen = new Int32Array(1 << HASH_BITS).fill(-1)
  let to = 0
  let literalStart = 0
  let at = 0
  const flush = (end: number): boolean => {
    while (literalStart < end) {
      const count = Math.min(32, end - literalStart)
      if (to + 1 + count > limit) return false
      out[to++] = count - 1
      for (const stop = literalStart + count; literalStart < stop; ) out[to++] = input[literalStart++]
    }
    return true
  }
  while (at + 2 < input.length) {
    const word = (input[at] << 16) | (input[at + 1] << 8) | input[at + 2]
    const slot = Math.imul(word, 0x9e3779b1) >>> (32 - HASH_BITS)
    const ref = seen[slot]
    seen[slot] = at
    const offset = at - ref - 1
    if (
      ref >= 0 &&
      offset < MAX_OFFSET &&
      input[ref] === input[at] &&
      input[ref + 1] === input[at + 1] &&
      input[ref + 2] === input[at + 2]
    ) {
      const most = Math.min(input.length - at, MAX_MATCH)
      let count = 3
      while (count < most && input[ref + count] === input[at + count]) count++
      if (!flush(at)) return null
      if (to + 3 > limit) return null
      const code = count - 2
      if (code < 7) out[to++] = (code << 5) | (offset >>> 8)
      else {
        out[to++] = (7 << 5) | (offset >>> 8)
        out[to++] = code - 7
      }
      out[to++] = offset & 255
      at += count
      literalStart = at
    } else at++
  }
  return flush(input.length) ? out.subarray(0, to) : null
}

/** Decompresses a stream of LZF input piece by piece, for strings too large to hold. */
export class LzfStream {
  private readonly history = Buffer.alloc(MAX_OFFSET)
  private pending: Buffer = Buffer.alloc(0)
  private total = 0

  /** Bytes produced so far. */
  get produced(): number {
    return this.total
  }

  /**
   * Takes the next piece of input and gives what it decompresses to (a new Buffer; may be empty).
   * @throws MigrateError FM_RDB_LZF
   */
  push(input: Buffer, last: boolean): Buffer {
    const data = this.pending.length === 0 ? input : Buffer.concat([this.pending, input])
    let out = Buffer.allocUnsafe(Math.max(1024, data.length * 3))
    let to = 0
    let at = 0
    const reserve = (count: number): void => {
      if (to + count <= out.length) return
      const larger = Buffer.allocUnsafe(Math.max(out.length * 2, to + count))
      out.copy(larger, 0, 0, to)
      out = larger
    }
    const emit = (byte: number): void => {
      out[to++] = byte
      this.history[this.total++ % MAX_OFFSET] = byte
    }
    while (at < data.length) {
      const control = data[at]
      if (control < 32) {
        if (at + 2 + control > data.length) break
        at++
        reserve(control + 1)
        for (const stop = at + control + 1; at < stop; ) emit(data[at++])
        continue
      }
      const long = control >>> 5 === 7
      if (at + (long ? 3 : 2) > data.length) break
      const count = long ? data[at + 1] + 9 : (control >>> 5) + 2
      const offset = ((control & 31) << 8) + data[at + (long ? 2 : 1)] + 1
      if (offset > this.total) throw corrupt('a match points outside')
      at += long ? 3 : 2
      reserve(count)
      for (let i = 0; i < count; i++) emit(this.history[(this.total - offset) % MAX_OFFSET])
    }
    this.pending = Buffer.from(data.subarray(at))
    if (last && this.pending.length > 0) throw corrupt('the input ends inside an instruction')
    return out.subarray(0, to)
  }
}
