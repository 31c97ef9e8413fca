/** Tiny values of each RDB type: what an element is does not matter, only that the type is known. */
export function sampleBodies(): Map<number, Buffer> {
  const string = (blob: Buffer): Buffer => Buffer.concat([Buffer.from([blob.length]), blob])
  const pack = (...elements: string[]): Buffer => {
    const parts = elements.map((text) =>
      Buffer.concat([Buffer.from([0x80 | text.length]), Buffer.from(text), Buffer.from([text.length + 1])]),
    )
    const body = Buffer.concat(parts)
    const head = Buffer.alloc(6)
    head.writeUInt32LE(body.length + 7, 0)
    head.writeUInt16LE(elements.length, 4)
    return string(Buffer.concat([head, body, Buffer.from([255])]))
  }
  const zip = (...elements: string[]): Buffer => {
    const parts: Buffer[] = []
    let previous = 0
    let tail = 10
    for (const [i, text] of elements.entries()) {
      if (i > 0) tail += previous
      parts.push(Buffer.concat([Buffer.from([previous, text.length]), Buffer.from(text)]))
      previous = text.length + 2
    }
    const head = Buffer.alloc(10)
    const body = Buffer.concat(parts)
    head.writeUInt32LE(body.length + 11, 0)
    head.writeUInt32LE(tail, 4)
    head.writeUInt16LE(elements.length, 8)
    return string(Buffer.concat([head, body, Buffer.from([255])]))
  }
  const text = (value: string): Buffer => string(Buffer.from(value))
  const join = (...parts: (Buffer | number[])[]): Buffer => Buffer.concat(parts.map((part) => Buffer.from(part)))
  const double = Buffer.alloc(8)
  double.writeDoubleLE(1)
  const soon = Buffer.alloc(8)
  soon.writeBigInt64LE(4_102_444_800_000n)
  const intset = Buffer.from('02000000010000000700', 'hex')
  return new Map<number, Buffer>([
    [1, join([1], text('a'))],
    [2, join([1], text('a'))],
    [3, join([1], text('a'), [1, 0x31])],
    [4, join([1], text('a'), text('b'))],
    [5, join([1], text('a'), double)],
    [9, string(Buffer.from([1, 1, 0x61, 1, 0, 0x62, 255]))],
    [10, zip('a')],
    [11, string(intset)],
    [12, zip('a', '1')],
    [13, zip('a', 'b')],
    [14, join([1], zip('a'))],
    // Streams without entries: no nodes, length 0, last id 0-1, no groups.
    [15, Buffer.from([0, 0, 0, 1, 0])],
    [16, pack('a', 'b')],
    [17, pack('a', '1')],
    [18, join([1, 2], pack('a'))],
    [19, Buffer.from([0, 0, 0, 1, 0, 0, 0, 0, 1, 0])],
    [20, pack('a')],
    [21, Buffer.from([0, 0, 0, 1, 0, 0, 0, 0, 1, 0])],
    [22, join([1], text('a'), text('b'), soon)],
    [24, join(soon, [1, 1], text('a'), text('b'))],
    [25, join(soon, string(Buffer.alloc(0)))],
    // The same as 21, with limits of producers and none of them.
    [26, Buffer.from([0, 0, 0, 1, 0, 0, 0, 0, 1, 0, 0x40, 0x64, 0x40, 0x64, 0, 0, 0])],
  ])
}

/** What TYPE calls them. */
export const TYPE_NAMES: Readonly<Record<number, string>> = {
  1: 'list',
  2: 'set',
  3: 'zset',
  4: 'hash',
  5: 'zset',
  9: 'hash',
  10: 'list',
  11: 'set',
  12: 'zset',
  13: 'hash',
  14: 'list',
  15: 'stream',
  16: 'hash',
  17: 'zset',
  18: 'list',
  19: 'stream',
  20: 'set',
  21: 'stream',
  22: 'hash',
  24: 'hash',
  26: 'stream',
}

/** An empty one. */
export const HYPER_LOG_LOG = Buffer.concat([
  Buffer.from('HYLL'),
  Buffer.from([1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x80]),
  Buffer.from([0x7f, 0xff]),
])
