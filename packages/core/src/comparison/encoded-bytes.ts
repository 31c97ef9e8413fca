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

function hasControl(text: string): boolean {
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i)
    if (code < 32 ? code !== 9 && code !== 10 : code === 127) return true
  }
  return false
}
