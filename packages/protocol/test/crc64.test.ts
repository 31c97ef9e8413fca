import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { Crc64 } from '../dist/index.js'

const DATA = Buffer.alloc(600_000)
let state = 7
for (let i = 0; i < DATA.length; i++) {
  state = (Math.imul(state, 1_103_515_245) + 12_345) | 0
  DATA[i] = state >>> 16
}

function text(crc: Crc64): string {
  const bytes = Buffer.alloc(8)
  crc.write(bytes, 0)
  return bytes.reverse().toString('hex')
}

/** In pieces that are too short for the fast way. */
function slowly(start: number, end: number): string {
  const crc = new Crc64().update(Buffer.from('before'))
  for (let at = start; at < end; at += 100) crc.update(DATA, at, Math.min(end, at + 100))
  return text(crc)
}

const atOnce = (start: number, end: number): string =>
  text(new Crc64().update(Buffer.from('before')).update(DATA, start, end))

describe('CRC-64', () => {
  it('has the check value of its polynomial', () => {
    expect(text(new Crc64().update(Buffer.from('123456789')))).toBe('e9c6d914c4b8d9ca')
  })

  it.each([511, 512, 513, 4095, 4096, 8191, 8192, 8193, 8200, 12_287, 16_384, 131_071, 131_072, 131_073, 300_001])(
    'of %i bytes at once is that of their pieces, wherever they begin',
    (length) => {
      for (const start of [0, 1, 3, 7, 8]) expect(atOnce(start, start + length)).toBe(slowly(start, start + length))
    },
  )

  it('of any range is that of its pieces', () => {
    const place = fc.integer({ min: 0, max: DATA.length })
    fc.assert(
      fc.property(place, place, (a, b) => {
        const [start, end] = a < b ? [a, b] : [b, a]
        expect(atOnce(start, end)).toBe(slowly(start, end))
      }),
      { seed: 5, numRuns: 100 },
    )
  })
})
