import type { ByteFeed } from '@ferrite-migrate/protocol'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { csvPages } from '../dist/csv-reader.js'
import { JsonPieces } from '../dist/json-pieces.js'
import { JsonRow } from '../dist/json-row.js'
import { Template } from '../dist/template.js'
import { type Encoding, TextFeed } from '../dist/text-feed.js'

/** The bytes in pieces of this size, in memory that is used again. */
function feedOf(bytes: Buffer, size: number): ByteFeed {
  let at = 0
  const memory = Buffer.alloc(size)
  return {
    next: async () => {
      if (at >= bytes.length) return null
      const part = bytes.subarray(at, at + size)
      at += size
      part.copy(memory)
      return memory.subarray(0, part.length)
    },
  } as ByteFeed
}

function cut(bytes: Buffer, size: number, lines: boolean): { text: string; line: number }[] {
  const pieces = new JsonPieces(lines)
  const found: { text: string; line: number }[] = []
  for (let at = 0; at < bytes.length; at += size) found.push(...pieces.push(Buffer.from(bytes.subarray(at, at + size))))
  return [...found, ...pieces.end()]
}

const objects = fc.array(fc.dictionary(fc.string(), fc.jsonValue()), { maxLength: 8 })

describe('JSON', () => {
  it('is cut into the same elements wherever its chunks end', () => {
    fc.assert(
      fc.property(objects, fc.integer({ min: 1, max: 40 }), fc.constantFrom(0, 2), (list, size, indent) => {
        const array = cut(Buffer.from(JSON.stringify(list, null, indent)), size, false)
        expect(array.map(({ text }) => JSON.parse(text) as unknown)).toEqual(JSON.parse(JSON.stringify(list)))
        const lines = cut(Buffer.from(list.map((one) => `${JSON.stringify(one)}\n`).join('')), size, true)
        expect(lines.map(({ text }) => text)).toEqual(list.map((one) => JSON.stringify(one)))
        expect(lines.map(({ line }) => line)).toEqual(list.map((_, i) => i + 1))
      }),
      { seed: 3, numRuns: 400 },
    )
  })

  it('that is cut or goes on is an error wherever it ends', () => {
    const text = '[{"a":"]}"},\n{"b":[1,{"c":"\\""}]}]'
    for (let end = 1; end < text.length; end++)
      expect(() => cut(Buffer.from(text.slice(0, end)), 5, false)).toThrow(/ends inside the array/)
    expect(() => cut(Buffer.from(`${text} 1`), 5, false)).toThrow(/follows the array/)
    expect(() => cut(Buffer.from('"a"'), 5, false)).toThrow(/must hold objects/)
    expect(cut(Buffer.from(text), 3, false).map(({ line }) => line)).toEqual([1, 2])
  })

  it('keeps digits, flattens names, and finds fields by their path', () => {
    const row = new JsonRow(1, '{"id":12345678901234567890,"f":1.10,"a":{"b":[1,null,{"c":"x"}]},"n":null,"t":true}')
    expect(row.flat('flatten')).toEqual([
      'id',
      '12345678901234567890',
      'f',
      '1.10',
      'a.b.0',
      '1',
      'a.b.2.c',
      'x',
      't',
      'true',
    ])
    expect(row.flat('json')).toEqual([
      'id',
      '12345678901234567890',
      'f',
      '1.10',
      'a',
      '{"b":[1,null,{"c":"x"}]}',
      't',
      'true',
    ])
    expect([row.text('a.b.2.c'), row.text('n'), row.text('a.x')]).toEqual(['x', undefined, undefined])
    for (const bad of ['[1]', '1', 'null', '{', '']) expect(() => new JsonRow(7, bad)).toThrow(/JSON/)
  })
})

describe('text', () => {
  const read = async (bytes: Buffer, encoding: Encoding, size: number): Promise<string> => {
    const feed = new TextFeed(feedOf(bytes, size), encoding)
    let text = ''
    for (let chunk = await feed.next(); chunk !== null; chunk = await feed.next()) text += chunk.toString('latin1')
    return Buffer.from(text, 'latin1').toString('utf8')
  }

  it('of every encoding is the same, however it is cut', async () => {
    const text = 'aé€😀z'
    const utf16be = Buffer.from(text, 'utf16le').swap16()
    for (let size = 1; size < 8; size++) {
      expect(await read(Buffer.from(text), 'utf-8', size)).toBe(text)
      expect(await read(Buffer.from(`\ufeff${text}`), 'utf-8', Math.max(3, size))).toBe(text)
      expect(await read(Buffer.from(`\ufeff${text}`, 'utf16le'), 'utf-8', Math.max(2, size))).toBe(text)
      expect(await read(utf16be, 'utf-16be', size)).toBe(text)
      expect(await read(Buffer.from('é', 'latin1'), 'latin-1', size)).toBe('é')
    }
  })

  it('that is none is an error, not a replacement', async () => {
    for (const bytes of [[0xff], [0x61, 0xe9, 0x61], [0x61, 0xe2, 0x82], [0xed, 0xa0, 0x80]])
      await expect(read(Buffer.from(bytes), 'utf-8', 2)).rejects.toMatchObject({ code: 'FM_IMPORT_ENCODING' })
    await expect(read(Buffer.from([0, 0xd8, 0x61, 0]), 'utf-16le', 2)).rejects.toMatchObject({
      code: 'FM_IMPORT_ENCODING',
    })
  })
})

describe('CSV', () => {
  const rows = async (text: string, options: Partial<Parameters<typeof csvPages>[1]> = {}, size = 7) => {
    const feed = new TextFeed(feedOf(Buffer.from(text), size), 'utf-8')
    const found: string[][] = []
    const faults: [number, string][] = []
    for await (const page of csvPages(feed, {
      delimiter: undefined,
      header: 'auto',
      columns: null,
      skips: true,
      quote: undefined,
      escape: undefined,
      ...options,
    })) {
      for (const row of page.rows) found.push(row.flat('json'))
      for (const fault of page.faults) faults.push([fault.line, fault.message])
    }
    return { found, faults }
  }

  it('finds delimiter and header, and takes quotes and lines in fields', async () => {
    for (const [delimiter, size] of [
      [',', 3],
      [';', 1000],
      ['\t', 1],
      ['|', 5],
    ] as const) {
      const text = ['id,name', '1,"a ""b"" ,\nc"', '2,é'].join('\r\n').replaceAll(',', delimiter)
      // The first chunk must hold the first line for it to be seen.
      const { found } = await rows(text, size < 8 ? { delimiter } : {}, size)
      expect(found).toEqual([
        ['id', '1', 'name', `a "b" ${delimiter}\nc`],
        ['id', '2', 'name', 'é'],
      ])
    }
    expect((await rows('1,2\n3,4\n')).found).toEqual([
      ['column1', '1', 'column2', '2'],
      ['column1', '3', 'column2', '4'],
    ])
    expect((await rows('1,2\n', { columns: ['a', 'b'] })).found).toEqual([['a', '1', 'b', '2']])
  })

  it('leaves out rows that are wrong, with their line, or ends at the first', async () => {
    const text = 'a,b\n1,2\n3\n4,5,6\n7,8\n'
    const { found, faults } = await rows(text)
    expect(found).toEqual([
      ['a', '1', 'b', '2'],
      ['a', '7', 'b', '8'],
    ])
    expect(faults.map(([line]) => line)).toEqual([3, 4])
    await expect(rows(text, { skips: false })).rejects.toMatchObject({
      code: 'FM_IMPORT_ROW',
      message: expect.stringContaining('line 3'),
    })
    await expect(rows('a,a\n1,2\n')).resolves.toMatchObject({
      found: [
        ['column1', 'a', 'column2', 'a'],
        ['column1', '1', 'column2', '2'],
      ],
    })
    await expect(rows('a,a\n1,2\n', { header: 'yes' })).rejects.toMatchObject({ code: 'FM_IMPORT_FORMAT' })
  })
})

describe('a template', () => {
  it('is filled from a row', () => {
    const row = new JsonRow(3, '{"a":"x","b":{"c":1},"e":""}')
    expect(new Template('k:{a}:{b.c}', 'key', false).fill(row)).toBe('k:x:1')
    expect(new Template('{{{a}}}', 'key', false).fill(row)).toBe('{x}')
    expect(new Template('a', 'member', true).fill(row)).toBe('x')
    for (const bad of ['{', 'a{}b', '{a']) expect(() => new Template(bad, 'key', false)).toThrow(/brace/)
    expect(() => new Template('{e}', 'key', false).fill(row)).toThrow(/has no e/)
  })
})
