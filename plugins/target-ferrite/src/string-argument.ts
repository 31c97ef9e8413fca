import { MigrateError, type PackedRecord } from '@ferrite-migrate/contracts'
import { integerText, lzfBound, lzfDecompressInto, RdbScan, type RespWriter } from '@ferrite-migrate/protocol'

const scan = new RdbScan()

/** Appends the argument with the bytes of a string that is plain, an integer or compressed. */
export function writeString(out: RespWriter, record: PackedRecord): void {
  const { data, valueStart, valueEnd } = record
  const byte = data[valueStart]
  if (byte < 0x40) out.range(data, valueStart + 1, valueEnd)
  else if (byte < 0x80) out.range(data, valueStart + 2, valueEnd)
  else if (byte === 0x80) out.range(data, valueStart + 5, valueEnd)
  else if (byte === 0x81) out.range(data, valueStart + 9, valueEnd)
  else if (byte === 0xc3) writeInflated(out, data, valueStart, valueEnd)
  else out.bytes(integerText(data.readIntLE(valueStart + 1, byte === 0xc0 ? 1 : byte === 0xc1 ? 2 : 4)))
}

function writeInflated(out: RespWriter, data: Buffer, start: number, end: number): void {
  let at = scan.length(data, start + 1, end)
  at = scan.length(data, at, end)
  const length = scan.value
  if (length > lzfBound(end - at))
    throw new MigrateError(
      'FM_RDB_LZF',
      'a compressed string announces an impossible length',
      'Take the dump again from the source.',
    )
  out.header(length)
  lzfDecompressInto(data, at, end, out.data, out.at, length)
  out.crlf(out.at + length)
}
