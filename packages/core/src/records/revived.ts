/** The same bytes as a Buffer; they are shared. */
export function bufferOf(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
}

/** What was serialized by structured clone, where every Buffer has become a Uint8Array: with Buffers again. @returns as `T`, as it was */
export function revived<T>(part: unknown): T {
  return asBuffers(part) as T
}

function asBuffers(part: unknown): unknown {
  if (part instanceof Uint8Array) return bufferOf(part)
  if (Array.isArray(part)) return part.map(asBuffers)
  if (typeof part === 'object' && part !== null)
    return Object.fromEntries(Object.entries(part).map(([name, value]) => [name, asBuffers(value)]))
  return part
}
