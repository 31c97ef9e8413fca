/** Bytes for a report: as text where they are valid UTF-8 without control characters, else as base64; cut. */
export interface EncodedBytes {
  readonly text?: string
  readonly base64?: string
  /** All of its bytes; more than are shown when it was cut. */
  readonly byteLength: number
}

const SHOWN_BYTES = 1024
const decoder = new TextDecoder('utf-8', { fatal: true })

export function encodeBytes(bytes: Buffer): EncodedBytes {
  const shown = bytes.subarray(0, SHOWN_BYTES)
  try {
    const text = decoder.decode(shown)
    if (!hasControl(text)) return { text, byteLength: bytes.length }
  } catch {
    // Not UTF-8, or cut inside a character: base64 says it exactly.
  }
  return { base64: shown.toString('base64'), byteLength: bytes.length }
}

/** What two strings hold where they begin to differ. */
export interface Around {
  /** The first byte that differs. */
  readonly at: number
  /** From shortly before it on; `from` is where that is. */
  readonly from: number
  readonly source: EncodedBytes
  readonly target: EncodedBytes
}

/** Strings up to this length are seen whole. */
const WHOLE_BYTES = 60
const BEFORE_BYTES = 24
const BEHIND_BYTES = 40

/** The place where two strings begin to differ, with what stands around it; null where both are seen whole. */
export function aroundDifference(source: Buffer, target: Buffer): Around | null {
  if (source.length <= WHOLE_BYTES && target.length <= WHOLE_BYTES) return null
  let at = 0
  while (at < source.length && at < target.length && source[at] === target[at]) at++
  const side = (bytes: Buffer, from: number): EncodedBytes => {
    let end = Math.min(bytes.length, at + BEHIND_BYTES)
    // No character is cut in two.
    while (end < bytes.length && end > at && isInside(bytes[end])) end--
    return encodeBytes(bytes.subarray(from, end))
  }
  let from = Math.max(0, at - BEFORE_BYTES)
  while (from > 0 && isInside(source[from])) from--
  return { at, from, source: side(source, from), target: side(target, from) }
}

/** True for a byte that continues a character of UTF-8. */
function isInside(byte: number): boolean {
  return (byte & 0xc0) === 0x80
}

function hasControl(text: string): boolean {
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i)
    if (code < 32 ? code !== 9 && code !== 10 : code === 127) return true
  }
  return false
}
