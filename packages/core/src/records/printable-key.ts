/** A key for a report: printable ASCII as it is, other bytes as \xHH; cut at 200 bytes. */
export function printableKey(key: Buffer | null): string {
  if (key === null) return ''
  let out = ''
  for (const byte of key.subarray(0, 200))
    out +=
      byte >= 32 && byte < 127 && byte !== 92 ? String.fromCharCode(byte) : `\\x${byte.toString(16).padStart(2, '0')}`
  return key.length > 200 ? `${out}…` : out
}
