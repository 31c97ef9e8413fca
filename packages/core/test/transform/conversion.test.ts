import { describe, expect, it } from 'vitest'
import { convert } from '../../dist/transform/conversion.js'

describe('words', () => {
  it.each([
    ['{"a":1}', /looks like JSON, not msgpack/],
    ['[1,2]', /looks like JSON, not msgpack/],
    ['null', /looks like JSON, not msgpack/],
    ['5', /it is the text "5", not msgpack/],
    ['A', /it is the text "A", not msgpack/],
    ['53', /looks like JSON, not msgpack/],
    ['hello world', /it is text, not msgpack/],
    ['', /it is empty, not msgpack/],
    ['\x81\xa1', /ends too early/],
    ['\x81\xa1a\x01\x02', /bytes follow/],
    ['\xc1\x00', /msgpack/],
  ])('of a value that is no msgpack are ours: %j', (text, told) => {
    let said = ''
    try {
      convert(Buffer.from(text, 'latin1'), 'msgpack', 'json')
    } catch (error) {
      said = (error as Error).message
    }
    expect(said).toMatch(told)
    expect(said).not.toMatch(/buffer|MessagePack|token|header check/i)
  })
})
