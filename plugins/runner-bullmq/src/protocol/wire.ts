/** Bytes are the only values that JSON has no form for. */
const BYTES = '$b64'

function isPlainBytes(value: unknown): value is { type: 'Buffer'; data: number[] } {
  return typeof value === 'object' && value !== null && 'type' in value && value.type === 'Buffer' && 'data' in value
}

/** A message as text. */
export function toWire(message: unknown): string {
  return JSON.stringify(message, function (this: Record<string, unknown>, name, value: unknown) {
    const raw = this[name]
    if (Buffer.isBuffer(raw)) return { [BYTES]: raw.toString('base64') }
    if (raw instanceof Uint8Array) return { [BYTES]: Buffer.from(raw).toString('base64') }
    return isPlainBytes(value) ? { [BYTES]: Buffer.from(value.data).toString('base64') } : value
  })
}

/** The message of a text that `toWire` made. @throws SyntaxError */
export function fromWire<T>(text: string): T {
  return JSON.parse(text, (_name, value: unknown) => {
    if (typeof value === 'object' && value !== null && BYTES in value)
      return Buffer.from(String(value[BYTES]), 'base64')
    return value
  }) as T
}
