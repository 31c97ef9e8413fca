import { describe, expect, it } from 'vitest'
import { decodeValue, PackedValues } from '../src/index.js'

describe('packed values', () => {
  it.each([
    '',
    'a',
    'twenty-one letters ..',
    'twenty-two letters ...',
    'é',
    'letters, then ü and ß',
    '漢字仮名交じり文漢字仮名交じり文漢字仮名交',
    '🦀🦀🦀🦀🦀🦀🦀🦀🦀🦀x',
    'x'.repeat(70),
    'x\u0000\u007f\u0080',
  ])('hold the text %j as its bytes', (text) => {
    const packed = new PackedValues()
    packed.addText(0, `k${text}`, text, 0)
    packed.addHash(3, text, [text, 'v', 'f', text], 5)
    const [string, hash] = packed.take()
    const bytes = Buffer.from(text)
    expect(string.key).toEqual(Buffer.from(`k${text}`))
    expect(decodeValue(string.value.type, string.value.body, 9)).toMatchObject({ type: 'string', items: [bytes] })
    expect([hash.db, hash.expireAt, hash.key]).toEqual([3, 5, bytes])
    expect(decodeValue(hash.value.type, hash.value.body, 9)).toMatchObject({
      type: 'hash',
      items: [bytes, Buffer.from('v'), Buffer.from('f'), bytes],
    })
  })
})
