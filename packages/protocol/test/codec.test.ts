import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  Crc64,
  copyBytes,
  doubleText,
  globMatch,
  integer64Text,
  LzfStream,
  lzfCompress,
  lzfDecompress,
  parseDouble,
  type Reply,
  ReplyCounter,
  ReplyError,
  RespReader,
  RespWriter,
} from '../dist/index.js'

const seed = { seed: 20_26, numRuns: 200 }

describe('crc64', () => {
  it('has the published check value', () => {
    const out = Buffer.alloc(8)
    new Crc64().update(Buffer.from('123456789')).write(out, 0)
    expect(out.readBigUInt64LE(0)).toBe(0xe9c6d914c4b8d9can)
  })
  it('is the same in one piece and in any two', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), fc.nat(200), (data, cut) => {
        const at = Math.min(cut, data.length)
        const whole = Buffer.alloc(8)
        const parts = Buffer.alloc(8)
        new Crc64().update(data).write(whole, 0)
        new Crc64().update(data, 0, at).update(data, at).write(parts, 0)
        expect(parts).toEqual(whole)
      }),
      seed,
    )
  })
})

describe('lzf', () => {
  const texts = fc
    .array(fc.constantFrom('aaaa', 'status=active;', 'xyz', '\0\r\n', 'q'), { maxLength: 400 })
    .map((parts) => Buffer.from(parts.join('')))
  it('round-trips, also piece by piece', () => {
    fc.assert(
      fc.property(texts, fc.integer({ min: 1, max: 64 }), (data, step) => {
        const packed = lzfCompress(data)
        if (packed === null) return
        expect(packed.length).toBeLessThan(data.length)
        expect(lzfDecompress(packed, data.length)).toEqual(data)
        const stream = new LzfStream()
        const parts: Buffer[] = []
        for (let at = 0; at < packed.length; at += step)
          parts.push(Buffer.from(stream.push(packed.subarray(at, at + step), at + step >= packed.length)))
        expect(Buffer.concat(parts)).toEqual(data)
      }),
      seed,
    )
  })
  it('refuses what is cut, and lengths that no input can hold', () => {
    const packed = lzfCompress(Buffer.from('abcabcabcabcabcabcabcabc'))!
    for (let cut = 0; cut < packed.length; cut++)
      expect(() => lzfDecompress(packed.subarray(0, cut), 24)).toThrow(expect.objectContaining({ code: 'FM_RDB_LZF' }))
    expect(() => lzfDecompress(Buffer.from([0, 1]), 2 ** 40)).toThrow(expect.objectContaining({ code: 'FM_RDB_LZF' }))
  })
})

describe('decimal', () => {
  it('gives every double a text that reads back to the same bits', () => {
    fc.assert(
      fc.property(fc.double(), (value) => {
        expect(Object.is(parseDouble(doubleText(value)), value)).toBe(true)
      }),
      seed,
    )
  })
  it('reads whole numbers, and ranges of a text, as Number does', () => {
    fc.assert(
      fc.property(fc.bigInt({ min: -(10n ** 18n), max: 10n ** 18n }), fc.nat(3), fc.nat(3), (value, before, after) => {
        const text = Buffer.from(`${'7'.repeat(before)}${value}${'7'.repeat(after)}`)
        expect(parseDouble(text, before, text.length - after)).toBe(Number(value))
      }),
      seed,
    )
    for (const [text, value] of [
      ['-0', -0],
      ['-', Number.NaN],
      ['', Number.NaN],
      ['007', 7],
      ['-inf', -Infinity],
    ] as const)
      expect(Object.is(parseDouble(Buffer.from(text)), value)).toBe(true)
  })
  it('copies short and long ranges alike', () => {
    const source = Buffer.from(Array.from({ length: 100 }, (_, i) => i))
    for (let length = 0; length <= 60; length++) {
      const target = Buffer.alloc(100, 255)
      copyBytes(source, 7, 7 + length, target, 11)
      expect(target).toEqual(
        Buffer.concat([Buffer.alloc(11, 255), source.subarray(7, 7 + length), Buffer.alloc(89 - length, 255)]),
      )
    }
  })
  it('writes 64-bit integers exactly', () => {
    fc.assert(
      fc.property(fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }), (value) => {
        const bytes = Buffer.alloc(8)
        bytes.writeBigInt64LE(value)
        expect(integer64Text(bytes.readInt32LE(4), bytes.readUInt32LE(0)).toString()).toBe(String(value))
      }),
      seed,
    )
  })
})

describe('resp', () => {
  const wire = Buffer.from(
    '+OK\r\n-ERR no\r\n:-42\r\n$5\r\nhe\r\no\r\n$-1\r\n*-1\r\n*3\r\n:1\r\n*2\r\n$0\r\n\r\n+x\r\n-WRONGTYPE y\r\n:9223372036854775807\r\n*0\r\n',
  )
  const read = (...chunks: Buffer[]): Reply[] => {
    const replies: Reply[] = []
    const reader = new RespReader((reply) => replies.push(reply))
    for (const chunk of chunks) reader.push(chunk)
    expect(reader.idle).toBe(true)
    return replies
  }
  const expected = read(wire)
  it('reads every kind', () => {
    expect(expected.slice(0, 6)).toEqual(['OK', new ReplyError('ERR no'), -42, Buffer.from('he\r\no'), null, null])
    expect(expected[7]).toBe(9223372036854775807n)
    expect(expected).toHaveLength(9)
  })
  it('reads the same split at every offset and byte by byte', () => {
    for (let cut = 1; cut < wire.length; cut++)
      expect(read(wire.subarray(0, cut), wire.subarray(cut))).toEqual(expected)
    expect(read(...Array.from(wire, (_, i) => wire.subarray(i, i + 1)))).toEqual(expected)
  })
  it('counts the same replies, errors and nils at every split', () => {
    const count = (...chunks: Buffer[]): unknown[] => {
      const seen: unknown[] = []
      const counter = new ReplyCounter(
        (index, inner, text) => seen.push([index, inner, text]),
        (index) => seen.push(index),
      )
      for (const chunk of chunks) counter.push(chunk)
      return [counter.count, ...seen]
    }
    const once = count(wire)
    expect(once).toEqual([9, [1, -1, 'ERR no'], 4, 5, [6, 2, 'WRONGTYPE y']])
    for (let cut = 1; cut < wire.length; cut++) expect(count(wire.subarray(0, cut), wire.subarray(cut))).toEqual(once)
  })
  it('refuses what is no protocol, and allocates nothing for announced sizes', () => {
    for (const text of ['HTTP/1.1 400\r\n', '$99999999999999\r\n', '*x\r\n', '$3\r\nabcde\r\n'])
      expect(() => read(Buffer.from(text))).toThrow(expect.objectContaining({ code: 'FM_RESP_PROTOCOL' }))
  })
  it('writes what it reads', () => {
    fc.assert(
      fc.property(fc.array(fc.uint8Array({ maxLength: 50 }), { minLength: 1, maxLength: 10 }), (parts) => {
        const out = new RespWriter(4)
        const argv = parts.map((part) => Buffer.from(part))
        out.call(...argv)
        expect(read(Buffer.from(out.take()))).toEqual([argv])
      }),
      seed,
    )
  })
})

describe('glob', () => {
  it.each([
    ['user:*', 'user:1', true],
    ['user:*', 'users', false],
    ['h?llo', 'hello', true],
    ['h[^e]llo', 'hello', false],
    ['h[a-e]llo', 'hello', true],
    ['h[e-a]llo', 'hcllo', true],
    ['a\\*b', 'a*b', true],
    ['a\\*b', 'axb', false],
    ['**', '', true],
    ['[abc', 'a', true],
    ['a*b*c', 'axxbyyc', true],
    ['a*b*c', 'axxbyy', false],
  ])('%s against %s is %s', (pattern, key, match) =>
    expect(globMatch(Buffer.from(pattern), Buffer.from(key))).toBe(match),
  )
  it('does not blow up', () => {
    const startedAt = performance.now()
    expect(globMatch(Buffer.from('a*'.repeat(40)), Buffer.from(`${'a'.repeat(200) + 'b'.repeat(0)}c`))).toBe(true)
    expect(globMatch(Buffer.from(`${'a*'.repeat(40)}z`), Buffer.from('a'.repeat(2000)))).toBe(false)
    expect(performance.now() - startedAt).toBeLessThan(20_000)
  })
})
