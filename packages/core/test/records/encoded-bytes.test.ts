import { describe, expect, it } from 'vitest'
import { printableKey } from '../../dist/index.js'
import { aroundDifference, encodeBytes } from '../../dist/records/encoded-bytes.js'
import { bytes } from '../doubles.js'

describe('bytes for a report', () => {
  it('are text where they can be read, else base64', () => {
    expect(encodeBytes(Buffer.from('größe\n\t'))).toEqual({ text: 'größe\n\t', byteLength: 9 })
    for (const odd of ['\xff', '\0', 'a\x7f', '\x1b[2J'])
      expect(encodeBytes(bytes(odd))).toEqual({ base64: bytes(odd).toString('base64'), byteLength: odd.length })
  })

  it('are cut, and told how long they were', () => {
    const { text, byteLength } = encodeBytes(Buffer.alloc(5000, 'x'))
    expect([text?.length, byteLength]).toEqual([1024, 5000])
  })
})

describe('a difference in long strings', () => {
  it('is shown with what stands around it', () => {
    const found = aroundDifference(Buffer.from(`${'a'.repeat(100)}X${'b'.repeat(100)}`), Buffer.from('a'.repeat(100)))
    expect(found).toEqual({
      ...{ at: 100, from: 76 },
      source: { text: `${'a'.repeat(24)}X${'b'.repeat(39)}`, byteLength: 64 },
      target: { text: 'a'.repeat(24), byteLength: 24 },
    })
  })
})

describe('a key', () => {
  it('can be printed whatever it is', () => {
    expect(printableKey(Buffer.from([65, 0, 255, 92]))).toBe('A\\x00\\xff\\x5c')
  })
})
