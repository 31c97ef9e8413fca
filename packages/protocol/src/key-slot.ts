const TABLE = new Uint16Array(256)
for (let byte = 0; byte < 256; byte++) {
  let crc = byte << 8
  for (let bit = 0; bit < 8; bit++) crc = crc & 0x8000 ? (crc << 1) ^ 0x1021 : crc << 1
  TABLE[byte] = crc
}

export const SLOTS = 16_384

/**
 * The hash slot of a key, as the Redis Cluster specification says: CRC16 (XMODEM) of the bytes between the first `{` and
 * the next `}`, when there are any, else of the whole key.
 */
export function keySlot(data: Buffer, start = 0, end = data.length): number {
  const range = hashTag(data, start, end)
  let crc = 0
  for (let at = range.start; at < range.end; at++) crc = ((crc << 8) & 0xffff) ^ TABLE[(crc >> 8) ^ data[at]]
  return crc % SLOTS
}

/** The part of a key that decides its slot. A key is short and may lie in a large block: nothing behind its end is looked at. */
export function hashTag(data: Buffer, start = 0, end = data.length): { readonly start: number; readonly end: number } {
  const open = placeOf(data, 123, start, end)
  if (open === end) return { start, end }
  const close = placeOf(data, 125, open + 1, end)
  return close === end || close === open + 1 ? { start, end } : { start: open + 1, end: close }
}

function placeOf(data: Buffer, byte: number, start: number, end: number): number {
  for (let at = start; at < end; at++) if (data[at] === byte) return at
  return end
}
