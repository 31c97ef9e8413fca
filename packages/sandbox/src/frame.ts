/** Strings of bytes in one block, which moves between threads without being copied. */
export interface Frame {
  readonly bytes: ArrayBuffer
  /** Length of each string. */
  readonly lengths: Uint32Array<ArrayBuffer>
}

/** Copies the strings into a block of their own. */
export function packFrame(items: readonly Uint8Array[]): Frame {
  const lengths = new Uint32Array(items.length)
  let total = 0
  for (let i = 0; i < items.length; i++) {
    lengths[i] = items[i].length
    total += items[i].length
  }
  const bytes = new ArrayBuffer(total)
  const view = new Uint8Array(bytes)
  let at = 0
  for (const item of items) {
    view.set(item, at)
    at += item.length
  }
  return { bytes, lengths }
}

/** The strings as views of the block. */
export function unpackFrame({ bytes, lengths }: Frame): Buffer[] {
  const items: Buffer[] = []
  let at = 0
  for (const length of lengths) {
    items.push(Buffer.from(bytes, at, length))
    at += length
  }
  return items
}

/** What to move instead of copying when a frame is sent. */
export function frameTransfer({ bytes, lengths }: Frame): ArrayBuffer[] {
  return [bytes, lengths.buffer]
}
