import { integerText } from './decimal.js'
import { lzfDecompress } from './lzf.js'

/** Reads lengths: `value` is the one that the last call read. */
interface LengthScan {
  readonly value: number
  length(data: Buffer, at: number, end: number): number
}

/** The bytes of the RDB string in data[start..end). */
export function decodeString(data: Buffer, start: number, end: number, scan: LengthScan): Buffer {
  const byte = data[start]
  if (byte < 0xc0) return data.subarray(scan.length(data, start, end), end)
  if (byte === 0xc0) return integerText(data.readInt8(start + 1))
  if (byte === 0xc1) return integerText(data.readInt16LE(start + 1))
  if (byte === 0xc2) return integerText(data.readInt32LE(start + 1))
  let at = scan.length(data, start + 1, end)
  at = scan.length(data, at, end)
  return lzfDecompress(data.subarray(at, end), scan.value)
}
