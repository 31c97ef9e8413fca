import { describe, expect, it } from 'vitest'
import { lines } from '../dist/rpc/lines.js'

async function* inPieces(bytes: Buffer, size: number): AsyncGenerator<Buffer> {
  for (let from = 0; from < bytes.length; from += size) yield bytes.subarray(from, from + size)
}

async function all(of: AsyncIterable<string>): Promise<string[]> {
  const found: string[] = []
  for await (const line of of) found.push(line)
  return found
}

describe('lines of a byte stream', () => {
  it('are the same however the bytes come, and end with \\n alone', async () => {
    const text = 'one\n\ntwo\u2028 is a letter\nä€😀\r\nlast'
    for (let size = 1; size < 20; size++)
      expect(await all(lines(inPieces(Buffer.from(text), size)))).toEqual([
        'one',
        'two\u2028 is a letter',
        'ä€😀\r',
        'last',
      ])
  })

  it('are bounded', async () => {
    const endless = lines(inPieces(Buffer.alloc(100, 'x'), 7), 50)
    await expect(all(endless)).rejects.toThrow(/more than 50 bytes/)
  })
})
